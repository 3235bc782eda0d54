"""Single records: the newest first, page by page, or one by its arrival or request_id.

Rows that arrive between two pages move nothing: a row's place never changes, so what was there at the first page comes
exactly once, and a page deep in the past costs what the first one costs.
"""

import binascii
import re
from base64 import b64decode, urlsafe_b64encode
from typing import Annotated, Any, Final
from zlib import crc32

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Place, Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import ALL_COLUMNS

MAX_LIMIT: Final = 1000
_CURSOR_VERSION: Final = 3
_CHECKSUM_BYTES: Final = 4
_NO_CURSOR: Final = "this is not a cursor from an answer's next_cursor; begin again without one"
_MAX_ARRIVAL: Final = 2**63 - 1
_ARRIVAL = re.compile(r"[0-9]{1,19}", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Page(msgspec.Struct, frozen=True):
    """Some records, newest first, and where the next page begins; ``next_cursor`` is ``None`` on the last page.

    An item maps every name of ``record.ALL_COLUMNS`` to its value, as ``rows.item`` says.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the last record of the page before stands."""

    version: int
    timestamp: str | None
    host: str | None
    arrival: Annotated[int, msgspec.Meta(ge=-_MAX_ARRIVAL - 1, le=_MAX_ARRIVAL)]


def list_requests(records: Records, selection: RequestFilter, limit: int = 100, cursor: str | None = None) -> Page:
    """At most ``limit`` (1 to ``MAX_LIMIT``) records after ``cursor``. Raises ``QueryError`` or ``StoreError``."""
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError("limit", f"limit must be from 1 to {MAX_LIMIT}; it is {limit}")
    after = None if cursor is None else read_cursor(cursor)
    rows = records.page(selection, ALL_COLUMNS, after, limit + 1)  # one more shows whether a page follows
    items = [item(row) for row in rows[:limit]]
    return Page(items, make_cursor(place_of(items[-1])) if len(rows) > limit else None)


def get_request(records: Records, key: int | str) -> dict[str, Any] | None:
    """The record with this arrival (digits) or request_id (32 hex digits), or ``None``. Raises ``StoreError``."""
    text = str(key).lower()
    if _REQUEST_ID.fullmatch(text):
        row = records.get(ALL_COLUMNS, request_id=text)
    elif _ARRIVAL.fullmatch(text) and int(text) <= _MAX_ARRIVAL:
        row = records.get(ALL_COLUMNS, arrival=int(text))
    else:
        return None
    return None if row is None else item(row)


def place_of(record: dict[str, Any]) -> Place:
    """Where a record stands in the order of pages."""
    return Place(record["timestamp"], record["host"], record["arrival"])


def make_cursor(place: Place) -> str:
    """An opaque word for URLs: version, place, checksum."""
    payload = msgspec.msgpack.encode(_Cursor(_CURSOR_VERSION, *place))
    return urlsafe_b64encode(payload + crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")).decode().rstrip("=")


def read_cursor(cursor: str) -> Place:
    """The place that ``make_cursor`` wrote. Raises ``QueryError`` for anything else.

    The checksum finds what was cut or mistyped. It is no signature: a forged cursor only names another
    place in records that its sender may read anyway.
    """
    try:
        data = b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        version, *_ = msgspec.msgpack.decode(payload, type=list)
        found = msgspec.msgpack.decode(payload, type=_Cursor) if version == _CURSOR_VERSION else None
    except (ValueError, TypeError, binascii.Error, msgspec.MsgspecError) as error:
        raise QueryError("cursor", _NO_CURSOR) from error
    if crc32(payload).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
        raise QueryError("cursor", _NO_CURSOR)
    if found is None:
        raise QueryError("cursor", "this cursor is from another version of the program; begin again without one")
    return Place(found.timestamp, found.host, found.arrival)
