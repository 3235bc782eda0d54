"""Requests in any order: what roll-ups say of where the first ones are changes nothing but the time that it takes."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.analytics import RequestFilter, list_requests
from llm_metrics_proxy.analytics.conditions import parse_conditions
from llm_metrics_proxy.analytics.filters import filter_of
from llm_metrics_proxy.analytics.ordering import NEWEST, ORDERED, Order, parse_order
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.sqlite import extremes, ordered
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.analytics.database import Database, a_record
from tests.clickhouse.pair import made
from tests.rollups.records import FIRST

# Of every kind: roll-ups know its extremes, or its words by the day alone, or nothing of it.
COLUMNS: Final = (
    "response_time_ms", "prompt_tokens", "upstream_cost_usd", "cost_usd", "model", "user", "error_type", "status_code",
    "is_streaming", "app_version", "message_count", "tags", "timestamp",
)  # fmt: skip
RANGE: Final = {"start": FIRST + timedelta(hours=3, minutes=20), "end": FIRST + timedelta(hours=24, seconds=5)}
SELECTIONS: Final = (
    RequestFilter(),
    RequestFilter(**RANGE),
    filter_of(parse_conditions(["model!=gpt-4o", "response_time_ms>100"])),
    filter_of(parse_conditions(["status_code>=400"]), start=FIRST + timedelta(hours=5)),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 records of 30 hours, of which 60 are not rolled up yet; some have no time."""
    path = tmp_path_factory.mktemp("ordered") / "metrics.db"
    store = SqliteStore(path)
    store.append(IngestBatch(rows=made(1000)))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with connection:
        assert add(connection, gather(connection, read_state(connection), 940))
    connection.close()
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


def sorted_by_python(reader: SqliteReader, selection: RequestFilter, order: Order) -> list[int]:
    """Arrivals in the order that ``Order`` promises, from whole records."""
    items = list_requests(open_records(reader), selection, 1000).items
    assert list_requests(open_records(reader), selection, 1000).next_cursor is None
    newest = sorted(items, key=lambda one: (one["timestamp"] or "", one["arrival"]), reverse=True)

    def value(one: dict[str, Any]) -> Any:
        column, found = REGISTRY[order.column], one[order.column]
        counted_elsewhere = column.counts_once and one["usage_source"] == "repeated"
        within = column.kind.least is None or found is None or column.kind.least <= found <= (column.kind.most or 0)
        return found if within and not counted_elsewhere else None

    there = [one for one in newest if value(one) is not None]
    there.sort(key=value, reverse=order.descending)
    return [one["arrival"] for one in (*there, *(one for one in newest if value(one) is None))]


def paged(reader: SqliteReader, selection: RequestFilter, order: Order, limit: int) -> list[int]:
    found, cursor = [], None
    while True:
        page = list_requests(open_records(reader), selection, limit, cursor, order)
        found += [item["arrival"] for item in page.items]
        if (cursor := page.next_cursor) is None:
            return found


@pytest.mark.parametrize("selection", SELECTIONS, ids=["all", "range", "where", "errors"])
@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_hold_every_record_once_in_the_order_asked_for(
    reader: SqliteReader, monkeypatch: pytest.MonkeyPatch, selection: RequestFilter, name: str, sign: str
) -> None:
    order = parse_order(f"{sign}{name}")
    expected = sorted_by_python(reader, selection, order)
    assert len(expected) > 50
    for block, most, many in ((1, 2.0, 0), (40, 2.0, 0), (10_000, 2.0, 0), (1, 0.05, 0), (1, 1.0, 10**9)):
        monkeypatch.setattr(extremes, "_BLOCK", block)
        monkeypatch.setattr(ordered, "MOST", most)
        monkeypatch.setattr(ordered, "MANY", many)
        assert paged(reader, selection, order, 61) == expected, (block, most, many)


def test_the_first_page_reads_only_where_it_can_be(reader: SqliteReader, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = ordered.OrderedReading._read

    def counted(self: Any, clause: Any) -> Any:
        read.append(1)
        return whole(self, clause)

    monkeypatch.setattr(extremes, "_BLOCK", 1)
    monkeypatch.setattr(ordered, "MANY", 0)
    monkeypatch.setattr(ordered, "MOST", 1.0)
    monkeypatch.setattr(ordered.OrderedReading, "_read", counted)
    list_requests(open_records(reader), RequestFilter(**RANGE), 3, None, parse_order("-response_time_ms"))
    assert 2 <= len(read) < 15  # of some eighty quarters


def test_any_column_of_the_registry_can_be_sorted_by(database: Database) -> None:
    database.add(a_record(1), a_record(2))
    for name in ORDERED:
        for descending in (False, True):
            assert len(list_requests(database.records, RequestFilter(), 5, None, Order(name, descending)).items) == 2


def test_records_that_come_between_pages_move_nothing(database: Database) -> None:
    database.add(*(a_record(number, response_time_ms=float(number % 7)) for number in range(40)))
    order = parse_order("-response_time_ms")
    first = list_requests(database.records, RequestFilter(), 10, None, order)
    before = [item["arrival"] for item in list_requests(database.records, RequestFilter(), 1000, None, order).items]
    database.add(a_record(99, response_time_ms=6.0), a_record(100, response_time_ms=3.0))
    rest = list_requests(database.records, RequestFilter(), 1000, first.next_cursor, order)
    seen = [item["arrival"] for item in (*first.items, *rest.items)]
    assert [arrival for arrival in seen if arrival <= 40] == before
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("made_for", "used_for", "message"),
    [
        ("-response_time_ms", "response_time_ms", "in the order -response_time_ms, not response_time_ms"),
        ("-response_time_ms", "-timestamp", "in the order -response_time_ms, not -timestamp"),
        ("-timestamp", "-cost_usd", "in the order -timestamp, not -cost_usd"),
    ],
)
def test_a_cursor_of_another_order_is_refused_in_words(
    database: Database, made_for: str, used_for: str, message: str
) -> None:
    database.add(a_record(1), a_record(2))
    cursor = list_requests(database.records, RequestFilter(), 1, None, parse_order(made_for)).next_cursor
    assert cursor is not None
    with pytest.raises(QueryError, match=message) as refused:
        list_requests(database.records, RequestFilter(), 1, cursor, parse_order(used_for))
    assert refused.value.parameter == "cursor"


@pytest.mark.parametrize(
    ("text", "message"),
    [("respons_time_ms", "did you mean response_time_ms"), ("", "docs/metrics.md"), ("-usage_reported", "there is no")],
)
def test_what_records_do_not_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as refused:
        parse_order(text)
    assert refused.value.parameter == "order"


def test_names_of_filters_are_those_of_their_columns() -> None:
    assert (parse_order("-streaming"), parse_order("tag")) == (Order("is_streaming", descending=True), Order("tags"))
    assert str(parse_order("-timestamp")) == str(NEWEST) == "-timestamp"
