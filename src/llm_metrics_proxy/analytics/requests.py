"""Single records: the newest first, page by page, or one by its id.

The order is (timestamp, id), newest first. The index on ``timestamp`` ends in the row id, so one index gives a time
range, the order and the place to go on from, and a page deep in the past costs what the first one costs. Rows that
arrive between two pages move nothing: a row's place never changes, so what was there at the first page comes exactly
once. (By id alone, a range far back would have to walk over every newer row first.)
"""

import binascii
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args, get_type_hints
from zlib import crc32

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter, where
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import COLUMNS, RequestRecord
from llm_metrics_proxy.storage.base import Reader

MAX_LIMIT: Final = 1000
_CURSOR_VERSION: Final = 1
_CHECKSUM_BYTES: Final = 4
_NO_CURSOR: Final = "this is no cursor from an answer's next_cursor; begin again without one"
_MAX_ID: Final = 2**63 - 1
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_NAMES: Final = ", ".join(f'"{column}"' for column in COLUMNS)
_SELECT: Final = f"SELECT {_NAMES} FROM completion_requests"  # noqa: S608 -- names from our own list, values never
_BOOLEANS: Final = tuple(
    name for name, hint in get_type_hints(RequestRecord).items() if bool in (hint, *get_args(hint))
)


class Page(msgspec.Struct, frozen=True):
    """Some records, newest first, and where the next page begins; ``next_cursor`` is ``None`` on the last page.

    An item maps every name of ``record.COLUMNS`` to its value; flags are ``bool``.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


class _Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a cursor holds: the last record of the page before."""

    version: int
    timestamp: str
    id: Annotated[int, msgspec.Meta(ge=-_MAX_ID - 1, le=_MAX_ID)]


def list_requests(reader: Reader, selection: RequestFilter, limit: int = 100, cursor: str | None = None) -> Page:
    """At most ``limit`` (1 to ``MAX_LIMIT``) records after ``cursor``. Raises ``QueryError`` or ``StoreError``."""
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError("limit", f"limit must be from 1 to {MAX_LIMIT}; it is {limit}")
    clause = where(selection)
    if cursor is not None:
        position = read_cursor(cursor)
        clause = clause.also("(timestamp, id) < (?, ?)", position.timestamp, position.id)
    # One row more than asked for tells whether there is a next page.
    sql = f"{_SELECT}{clause.sql} ORDER BY timestamp DESC, id DESC LIMIT ?"
    rows = reader.query(sql, (*clause.parameters, limit + 1))
    items = [_item(row) for row in rows[:limit]]
    return Page(items, make_cursor(items[-1]["timestamp"], items[-1]["id"]) if len(rows) > limit else None)


def get_request(reader: Reader, key: int | str) -> dict[str, Any] | None:
    """The record with this id (digits) or request_id (32 hex digits), or ``None``. Raises ``StoreError``."""
    text = str(key).lower()
    if _REQUEST_ID.fullmatch(text):
        rows = reader.query(f"{_SELECT} WHERE request_id = ?", (text,))
    elif _ID.fullmatch(text) and int(text) <= _MAX_ID:
        rows = reader.query(f"{_SELECT} WHERE id = ?", (int(text),))
    else:
        return None
    return _item(rows[0]) if rows else None


def _item(row: Sequence[Any]) -> dict[str, Any]:
    item = dict(zip(COLUMNS, row, strict=True))
    for name in _BOOLEANS:
        if item[name] is not None:
            item[name] = bool(item[name])
    return item


def make_cursor(timestamp: str, row_id: int) -> str:
    """An opaque word for URLs: version, place, checksum."""
    payload = msgspec.msgpack.encode(_Position(_CURSOR_VERSION, timestamp, row_id))
    return urlsafe_b64encode(payload + crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")).decode().rstrip("=")


def read_cursor(cursor: str) -> _Position:
    """The place that ``make_cursor`` wrote. Raises ``QueryError`` for anything else.

    The checksum finds what was cut or mistyped. It is no seal, and needs none: a forged cursor only names another
    place in records that its sender may read anyway.
    """
    try:
        data = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        position = msgspec.msgpack.decode(payload, type=_Position)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise QueryError("cursor", _NO_CURSOR) from error
    if crc32(payload).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        raise QueryError("cursor", _NO_CURSOR)
    if position.version != _CURSOR_VERSION:
        raise QueryError("cursor", "this cursor is from another version of the program; begin again without one")
    return position
