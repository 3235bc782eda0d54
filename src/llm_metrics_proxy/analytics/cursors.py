"""Cursors: a place in a list as an opaque word for URLs. Pure.

The checksum finds what was cut or mistyped. It is no signature: a forged cursor only names another place in what its
sender may read anyway.
"""

import binascii
from base64 import b64decode, urlsafe_b64encode
from typing import Final
from zlib import crc32

from llm_metrics_proxy.errors import QueryError

NO_CURSOR: Final = "this is not a cursor from an answer's next_cursor; begin again without one"
_CHECKSUM_BYTES: Final = 4


def packed(payload: bytes) -> str:
    """The payload and its checksum."""
    return urlsafe_b64encode(payload + crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")).decode().rstrip("=")


def unpacked(cursor: str) -> bytes:
    """The payload. Raises ``QueryError`` for what ``packed`` has not made."""
    try:
        data = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise QueryError("cursor", NO_CURSOR) from error
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if crc32(payload).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        raise QueryError("cursor", NO_CURSOR)
    return payload
