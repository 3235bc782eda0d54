import threading
from base64 import urlsafe_b64encode
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Place
from llm_metrics_proxy.analytics.requests import MAX_LIMIT, get_request, list_requests, make_cursor, read_cursor
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import QueryError, StoreError
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record

EVERYTHING = RequestFilter()


def all_ids(database: Database, limit: int, selection: RequestFilter = EVERYTHING) -> list[int]:
    ids: list[int] = []
    cursor = None
    while True:
        page = list_requests(database.records, selection, limit, cursor)
        assert len(page.items) <= limit
        ids += [item["arrival"] for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids


def test_an_item_has_exactly_the_columns_and_flags_are_bools(database: Database) -> None:
    database.add(a_record(upstream_reused=None, usage_rejected=False))
    (item,) = list_requests(database.records, EVERYTHING).items
    assert tuple(item) == ALL_COLUMNS
    assert item["is_streaming"] is item["success"] is True
    assert item["usage_rejected"] is False
    assert item["upstream_reused"] is None
    assert type(item["retries"]) is int
    assert item["app_version"] == "2.0.0"
    assert item["unfit_values"] is None


def test_pages_run_from_the_newest_to_the_oldest(database: Database) -> None:
    database.add(a_record(5), a_record(1), a_record(9))
    times = [item["timestamp"][17:19] for item in list_requests(database.records, EVERYTHING).items]
    assert times == ["09", "05", "01"]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 21])
def test_pages_of_any_size_hold_every_record_once_even_where_times_are_equal(database: Database, limit: int) -> None:
    database.add(*(a_record(number // 5) for number in range(20)))
    assert all_ids(database, limit) == list(range(20, 0, -1))


def test_the_last_page_has_no_cursor_also_when_it_is_exactly_full(database: Database) -> None:
    database.add(a_record(1), a_record(2))
    assert list_requests(database.records, EVERYTHING, limit=2).next_cursor is None
    assert list_requests(database.records, EVERYTHING, limit=1).next_cursor is not None
    assert list_requests(database.records, RequestFilter(model="nobody")) == list_requests(
        database.records, RequestFilter(model="nobody"), 5
    )


def test_a_filter_holds_on_every_page(database: Database) -> None:
    database.add(*(a_record(number, model="ab"[number % 2]) for number in range(20)))
    assert all_ids(database, 3, RequestFilter(model="a")) == list(range(19, 0, -2))


def test_rows_that_arrive_between_pages_neither_repeat_nor_hide_a_record(database: Database) -> None:
    """Rows come in by the end of a request, so some are older than rows that have been there for long."""
    database.add(*(a_record(number) for number in range(300)))
    there_before = set(all_ids(database, 1000))
    stop = threading.Event()
    inserted = 0

    def insert() -> None:
        nonlocal inserted
        while not stop.is_set() and inserted < 5000:
            database.add(a_record(400 + inserted), a_record(inserted % 300 + 0.5))
            inserted += 2

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        seen = all_ids(database, 7)
    finally:
        stop.set()
        thread.join()
    assert inserted > 0
    assert len(seen) == len(set(seen))
    assert there_before <= set(seen)


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_out_of_range_is_refused(database: Database, limit: int) -> None:
    with pytest.raises(QueryError, match="from 1 to 1000") as caught:
        list_requests(database.records, EVERYTHING, limit)
    assert caught.value.parameter == "limit"


INT64 = st.integers(-(2**63), 2**63 - 1)
PLACES = st.builds(Place, st.text(max_size=40) | st.none(), st.text(max_size=40) | st.none(), INT64)


@given(PLACES)
def test_a_cursor_gives_back_its_place(place: Place) -> None:
    cursor = make_cursor(place)
    assert read_cursor(cursor) == place
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?# ")


@given(st.data())
def test_a_cursor_with_one_character_changed_is_refused_or_means_the_same(data: st.DataObject) -> None:
    cursor = make_cursor(Place("2026-03-01T12:00:00.000000Z", "here", 42))
    index = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:index] + data.draw(st.sampled_from("ABab01-_")) + cursor[index + 1 :]
    try:
        position = read_cursor(changed)
    except QueryError:
        return
    assert position == read_cursor(cursor)  # the last character of base64 may carry bits that mean nothing


@given(st.text(max_size=60))
def test_garbage_is_never_taken_for_a_cursor(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        read_cursor(text)
    assert caught.value.parameter == "cursor"


@pytest.mark.parametrize(
    "content",
    [
        [1, "2026", 5],
        [2, b"2026", True, 5],
        [4, "2026", None, 5],
        [3, "2026", None, 2**63],
        [3, 5, None, 5],
        [3, b"2026", None, 5],
        [3, "2026", 5, 5],
        [3, "2026", None],
        [3, "2026", None, 1, 1],
        [],
        {},
        5,
    ],
)
def test_a_well_made_cursor_with_foreign_content_is_refused(content: list[object]) -> None:
    payload = msgspec.msgpack.encode(content)
    cursor = urlsafe_b64encode(payload + crc32(payload).to_bytes(4, "big")).decode().rstrip("=")
    with pytest.raises(QueryError, match="begin again"):
        read_cursor(cursor)


def test_one_record_is_found_by_its_arrival_and_by_its_request_id(database: Database) -> None:
    digits_only = a_record(request_id="12345678901234567890123456789012")
    with_letters = a_record(request_id="abcdef" + "0" * 26)
    database.add(digits_only, with_letters)
    assert get_request(database.records, digits_only.request_id) == get_request(database.records, 1)
    assert get_request(database.records, "ABCDEF" + "0" * 26) == get_request(database.records, "2")
    assert tuple(get_request(database.records, 1) or ()) == ALL_COLUMNS


@pytest.mark.parametrize(
    "key", ["3", "0", "-1", "", "abc", "9" * 19, "9" * 400, "f" * 32, "1; DROP TABLE x", "\uff11", "1\x00"]
)
def test_what_is_no_record_is_none(database: Database, key: str) -> None:
    database.add(a_record())
    assert get_request(database.records, key) is None


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"absent\.db"):
        list_requests(open_records(SqliteReader(tmp_path / "absent.db")), EVERYTHING)
