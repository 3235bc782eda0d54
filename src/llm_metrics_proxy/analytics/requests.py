"""Single records: the newest first, page by page, or one by its id.

The order is (timestamp, id), newest first. The index on ``timestamp`` ends in the row id, so one index gives a time
range, the order and the place to go on from, and a page deep in the past costs what the first one costs. Rows that
arrive between two pages move nothing: a row's place never changes, so what was there at the first page comes exactly
once. (By id alone, a range far back would have to walk over every newer row first.)
"""

import binascii
import re
from base64 import b64decode, urlsafe_b64encode
from typing import Annotated, Any, Final
from zlib import crc32

import msgspec

from llm_metrics_proxy.analytics.filters import Clause, RequestFilter, where
from llm_metrics_proxy.analytics.rows import columns_there, item, read, whole_table
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.base import Reader

MAX_LIMIT: Final = 1000
_CURSOR_VERSION: Final = 2
_CHECKSUM_BYTES: Final = 4
_NO_CURSOR: Final = "this is not a cursor from an answer's next_cursor; begin again without one"
_MAX_ID: Final = 2**63 - 1
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_Id = Annotated[int, msgspec.Meta(ge=-_MAX_ID - 1, le=_MAX_ID)]


class Page(msgspec.Struct, frozen=True):
    """Some records, newest first, and where the next page begins; ``next_cursor`` is ``None`` on the last page.

    An item maps every name of ``record.ALL_COLUMNS`` to its value, as ``rows.item`` says.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


class _Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a cursor holds: the last record of the page before."""

    version: int
    timestamp: _Id | float | bytes | None  # whatever an adopted file holds there
    is_text: bool  # the bytes are a text's, which need not be UTF-8
    id: _Id


def list_requests(reader: Reader, selection: RequestFilter, limit: int = 100, cursor: str | None = None) -> Page:
    """At most ``limit`` (1 to ``MAX_LIMIT``) records after ``cursor``. Raises ``QueryError`` or ``StoreError``."""
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError("limit", f"limit must be from 1 to {MAX_LIMIT}; it is {limit}")
    clause, table, wanted = where(selection), _table(reader), limit + 1  # one more shows whether a page follows
    if cursor is None:
        rows = _rows(reader, table, clause, wanted)
    else:
        rows = _rows_after(reader, table, clause, wanted, read_cursor(cursor))
    next_cursor = make_cursor(*rows[limit - 1][:3]) if len(rows) > limit else None
    return Page([item(row[3:]) for row in rows[:limit]], next_cursor)


def _rows_after(reader: Reader, table: str, clause: Clause, wanted: int, last: _Position) -> list[tuple[Any, ...]]:
    """NULL compares with nothing, so records without a timestamp, the last of all, need a query of their own: one
    condition for both would keep SQLite from walking along the index."""
    if last.timestamp is None:
        return _rows(reader, table, clause.also("timestamp IS NULL AND id < ?", last.id), wanted)
    place = "CAST(? AS TEXT)" if last.is_text else "?"
    rows = _rows(reader, table, clause.also(f"(timestamp, id) < ({place}, ?)", last.timestamp, last.id), wanted)
    if len(rows) < wanted:
        rows += _rows(reader, table, clause.also("timestamp IS NULL"), wanted - len(rows))
    return rows


def get_request(reader: Reader, key: int | str) -> dict[str, Any] | None:
    """The record with this id (digits) or request_id (32 hex digits), or ``None``. Raises ``StoreError``."""
    text = str(key).lower()
    if _REQUEST_ID.fullmatch(text):
        clause = Clause(" WHERE request_id = ?", (text,))
    elif _ID.fullmatch(text) and int(text) <= _MAX_ID:
        clause = Clause(" WHERE id = ?", (int(text),))
    else:
        return None
    rows = _rows(reader, _table(reader), clause, 1)
    return item(rows[0][3:]) if rows else None


def newest(reader: Reader, clause: Clause, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` records that a condition of ours selects, newest first. Raises ``StoreError``."""
    return [item(row[3:]) for row in _rows(reader, _table(reader), clause, limit)]


def _table(reader: Reader) -> str:
    return whole_table(columns_there(reader))


def _rows(reader: Reader, table: str, clause: Clause, limit: int) -> list[tuple[Any, ...]]:
    """Newest first; before the columns stands what a cursor holds: timestamp, whether it is text, id."""
    stored = "iif(typeof(timestamp) = 'text', CAST(timestamp AS BLOB), timestamp), typeof(timestamp) = 'text'"
    order = "ORDER BY timestamp DESC, id DESC LIMIT ?"
    sql = f"SELECT {stored}, id, {', '.join(ALL_COLUMNS)} FROM {table}{clause.sql} {order}"  # noqa: S608 -- names are ours
    return read(reader, sql, (*clause.parameters, limit), columns=len(ALL_COLUMNS) + 3)


def make_cursor(timestamp: int | float | bytes | None, is_text: bool, row_id: int) -> str:
    """An opaque word for URLs: version, place, checksum."""
    payload = msgspec.msgpack.encode(_Position(_CURSOR_VERSION, timestamp, bool(is_text), row_id))
    return urlsafe_b64encode(payload + crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")).decode().rstrip("=")


def read_cursor(cursor: str) -> _Position:
    """The place that ``make_cursor`` wrote. Raises ``QueryError`` for anything else.

    The checksum finds what was cut or mistyped. It is no signature: a forged cursor only names another
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
