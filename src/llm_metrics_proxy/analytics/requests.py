"""Single records: page by page in any order, the newest first unless another is asked for, or one by its arrival or
request_id.

Rows that arrive between two pages move nothing: a row's place never changes, so what was there at the first page comes
exactly once. Of the newest first, a page deep in the past costs what the first one costs.
"""

import re
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.analytics.cursors import NO_CURSOR, packed, unpacked
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.ordering import NEWEST, Order
from llm_metrics_proxy.analytics.records import OrderedPlace, Place, Records
from llm_metrics_proxy.analytics.rows import item
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import ALL_COLUMNS

MAX_LIMIT: Final = 1000
_CURSOR_VERSION: Final = 3  # of the newest first
_ORDERED_VERSION: Final = 4
_MAX_ARRIVAL: Final = 2**63 - 1
_ARRIVAL = re.compile(r"[0-9]{1,19}", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Page(msgspec.Struct, frozen=True):
    """Some records, newest first, and where the next page begins; ``next_cursor`` is ``None`` on the last page.

    An item maps every name of ``record.ALL_COLUMNS`` to its value, as ``rows.item`` says.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None


_Arrival = Annotated[int, msgspec.Meta(ge=-_MAX_ARRIVAL - 1, le=_MAX_ARRIVAL)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where the last record of the page before stands."""

    version: int
    timestamp: str | None
    host: str | None
    arrival: _Arrival


class _OrderedCursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The same in another order."""

    version: int
    order: str
    value: int | float | str | None
    timestamp: str | None
    host: str | None
    arrival: _Arrival


_KINDS: Final[dict[Any, type[_Cursor | _OrderedCursor]]] = {_CURSOR_VERSION: _Cursor, _ORDERED_VERSION: _OrderedCursor}


def list_requests(
    records: Records, selection: RequestFilter, limit: int = 100, cursor: str | None = None, order: Order = NEWEST
) -> Page:
    """At most ``limit`` (1 to ``MAX_LIMIT``) records after ``cursor``. Raises ``QueryError``, for a cursor of another
    order too, or ``StoreError``."""
    if not 1 <= limit <= MAX_LIMIT:
        raise QueryError("limit", f"limit must be from 1 to {MAX_LIMIT}; it is {limit}")
    if order != NEWEST:
        return _in_order(records, selection, limit, cursor, order)
    after = None if cursor is None else read_cursor(cursor)
    rows = records.page(selection, ALL_COLUMNS, after, limit + 1)  # one more shows whether a page follows
    items = [item(row) for row in rows[:limit]]
    return Page(items, make_cursor(place_of(items[-1])) if len(rows) > limit else None)


def _in_order(records: Records, selection: RequestFilter, limit: int, cursor: str | None, order: Order) -> Page:
    after = None if cursor is None else read_ordered_cursor(cursor, order)
    rows = records.ordered(selection, ALL_COLUMNS, order, after, limit + 1)
    items = [item(row[:-1]) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, make_ordered_cursor(order, OrderedPlace(rows[limit - 1][-1], place_of(items[-1]))))


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
    return _written(_Cursor(_CURSOR_VERSION, *place))


def make_ordered_cursor(order: Order, place: OrderedPlace) -> str:
    """The same of another order, which it names."""
    return _written(_OrderedCursor(_ORDERED_VERSION, str(order), place.value, *place.place))


def _written(cursor: _Cursor | _OrderedCursor) -> str:
    return packed(msgspec.msgpack.encode(cursor))


def read_cursor(cursor: str) -> Place:
    """The place that ``make_cursor`` wrote. Raises ``QueryError`` for anything else."""
    found = _read(cursor)
    if not isinstance(found, _Cursor):
        raise _other_order(found.order, NEWEST)
    return Place(found.timestamp, found.host, found.arrival)


def read_ordered_cursor(cursor: str, order: Order) -> OrderedPlace:
    """The place that ``make_ordered_cursor`` wrote for this order. Raises ``QueryError`` for anything else."""
    found = _read(cursor)
    if isinstance(found, _Cursor):
        raise _other_order(str(NEWEST), order)
    if found.order != str(order):
        raise _other_order(found.order, order)
    if found.value is not None and isinstance(found.value, str) != (order.row.kind.holds in ("text", "time")):
        raise QueryError("cursor", NO_CURSOR)
    return OrderedPlace(found.value, Place(found.timestamp, found.host, found.arrival))


def _other_order(found: str, order: Order) -> QueryError:
    return QueryError("cursor", f"this cursor goes on in the order {found}, not {order}; begin again without one")


def _read(cursor: str) -> _Cursor | _OrderedCursor:
    payload = unpacked(cursor)
    try:
        version, *_ = msgspec.msgpack.decode(payload, type=list)
        kind = _KINDS.get(version)
        found = None if kind is None else msgspec.msgpack.decode(payload, type=kind)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise QueryError("cursor", NO_CURSOR) from error
    if found is None:
        raise QueryError("cursor", "this cursor is from another version of the program; begin again without one")
    return found
