"""Questions to a table in which anything may stand anywhere."""

import json
import math
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from llm_metrics_proxy.analytics import RequestFilter, get_request, list_requests, records_by_version, summarise
from llm_metrics_proxy.analytics.metrics import MAX_TOKENS
from llm_metrics_proxy.analytics.rows import MAX_UNFIT_CHARS, UNFIT, described, item, read
from llm_metrics_proxy.analytics.versions import older_records
from llm_metrics_proxy.api.schemas import RequestItem
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.wire import base as wire
from tests.analytics import odd
from tests.analytics.database import NOON

EVERYTHING = RequestFilter()


@pytest.fixture(params=odd.TYPES, ids=lambda declared: declared or "no type")
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> SqliteReader:
    odd.make(tmp_path / "odd.db", request.param)
    return SqliteReader(tmp_path / "odd.db")


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_every_record_comes_once_whatever_its_timestamp_is(reader: SqliteReader, limit: int) -> None:
    seen: list[int] = []
    cursor = None
    while cursor is not None or not seen:
        page = list_requests(reader, EVERYTHING, limit, cursor)
        seen += [record["id"] for record in page.items]
        cursor = page.next_cursor
        assert len(seen) <= len(odd.VALUES)
    assert sorted(seen) == list(range(1, len(odd.VALUES) + 1))


def test_every_record_is_json_of_the_documented_shape(reader: SqliteReader) -> None:
    for number in range(1, len(odd.VALUES) + 1):
        record = get_request(reader, number)
        assert record is not None
        assert tuple(record)[: len(ALL_COLUMNS)] == ALL_COLUMNS
        text = msgspec.json.encode(record)
        assert json.loads(text)["id"] == number
        msgspec.json.decode(text, type=RequestItem)


def test_the_summary_answers_and_its_numbers_are_finite(reader: SqliteReader) -> None:
    for selection in (
        EVERYTHING,
        RequestFilter(start=NOON),
        RequestFilter(end=NOON),
        RequestFilter(app_version="(none)"),
        RequestFilter(success=True, streaming=False, status_code=200),
    ):
        answer = summarise(reader, selection)
        msgspec.json.decode(msgspec.json.encode(answer), type=type(answer))
        assert sum(answer.app_versions.values()) == sum(answer.outcomes.values()) == answer.requests
        assert answer.older_records == older_records(reader, selection)
        for one in answer.distributions.values():
            assert all(number is None or math.isfinite(number) for number in (one.mean, one.p50, one.p95, one.p99))


def test_only_counts_are_added_up(tmp_path: Path) -> None:
    odd.make(tmp_path / "odd.db")
    reader = SqliteReader(tmp_path / "odd.db")
    total = summarise(reader, EVERYTHING).tokens["total_tokens"]
    assert (total.n, total.sum) == (4, 0 + 1 + 1500 + 0)  # 0, 1, 1500.0, -0.0
    for _ in range(3):
        odd.one(tmp_path / "odd.db", total_tokens=MAX_TOKENS)
    assert summarise(reader, EVERYTHING).tokens["total_tokens"].sum == 1501 + 3 * MAX_TOKENS


def test_the_largest_count_is_that_of_the_proxy() -> None:
    assert wire.MAX_TOKENS == MAX_TOKENS


def test_numbers_of_which_a_column_of_text_made_words_count_as_those_of_a_column_of_numbers(tmp_path: Path) -> None:
    answers = []
    for declared in ("TEXT", "INTEGER"):
        odd.make(tmp_path / f"{declared}.db", declared)
        reader = SqliteReader(tmp_path / f"{declared}.db")
        answers.append(summarise(reader, EVERYTHING))
        reader.close()
    of_words, of_numbers = answers
    assert of_words.tokens == of_numbers.tokens
    assert of_words.tokens["total_tokens"] == type(of_words.tokens["total_tokens"])(n=5, sum=0 + 1 + 1500 - 0 + 12)
    assert of_words.distributions == of_numbers.distributions
    assert of_words.distributions["response_time_ms"].n > 0


def test_flags_are_counted_as_they_are_shown_and_filtered(reader: SqliteReader) -> None:
    answer = summarise(reader, EVERYTHING)
    shown = [get_request(reader, number) or {} for number in range(1, len(odd.VALUES) + 1)]
    for known, count in ((True, answer.succeeded), (False, answer.failed)):
        chosen = list_requests(reader, RequestFilter(success=known), 1000).items
        assert count == len(chosen)
        assert [one["id"] for one in shown if one["success"] is known] in ([], sorted(one["id"] for one in chosen))
    judged = answer.succeeded + answer.failed
    assert answer.success_rate == (answer.succeeded / judged if judged else None)


def test_a_range_of_time_holds_only_what_is_a_time(tmp_path: Path) -> None:
    odd.make(tmp_path / "odd.db")
    reader = SqliteReader(tmp_path / "odd.db")
    at_noon = odd.VALUES.index("'2026-03-01T12:00:00.000000Z'") + 1
    no_date = odd.VALUES.index("'2026-13-45'") + 1
    assert [one["id"] for one in list_requests(reader, RequestFilter(start=NOON)).items] == [no_date, at_noon]
    before = [one["timestamp"] for one in list_requests(reader, RequestFilter(end=NOON)).items]
    assert before == ["12", "10.0.0"]
    answer = summarise(reader, EVERYTHING)
    assert (answer.first_timestamp, answer.last_timestamp) == ("10.0.0", "2026-13-45")


def test_a_failure_without_an_outcome_is_an_error_and_a_success_without_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    odd.make(path)
    odd.one(path, success=0, app_version="here")
    odd.one(path, success=0, error_type="quota", app_version="here")
    odd.one(path, success=1, app_version="here")
    odd.one(path, app_version="here")
    answer = summarise(SqliteReader(path), RequestFilter(app_version="here"))
    assert {(error.outcome, error.error_type, error.n) for error in answer.errors} == {
        (None, None, 1),
        (None, "quota", 1),
    }
    assert answer.outcomes == {"(none)": 4}
    assert (answer.requests, answer.succeeded, answer.failed, answer.success_rate) == (4, 1, 2, 1 / 3)


@pytest.mark.parametrize(
    ("column", "stored", "shown"),
    [
        ("total_tokens", 5, 5),
        ("total_tokens", 5.0, 5),
        ("total_tokens", 5.5, None),
        ("total_tokens", "5", None),
        ("total_tokens", 1e300, None),
        ("response_time_ms", 5, 5),
        ("response_time_ms", math.inf, None),
        ("response_time_ms", math.nan, None),
        ("response_time_ms", b"\x00", None),
        ("is_streaming", 1, True),
        ("is_streaming", 0.0, False),
        ("is_streaming", 2, None),
        ("is_streaming", "true", None),
        ("model", "x", "x"),
        ("model", 5, None),
        ("app_version", b"2.0.0", None),
        ("timestamp_original", 1_700_000_000, 1_700_000_000),
        ("timestamp_original", "yesterday", "yesterday"),
        ("timestamp_original", b"\x01", None),
        ("timestamp_original", -math.inf, None),
    ],
)
def test_a_value_is_shown_if_it_fits_its_column_and_else_told_apart(column: str, stored: Any, shown: Any) -> None:
    row = [1, *[None] * (len(ALL_COLUMNS) - 1)]
    row[ALL_COLUMNS.index(column)] = stored
    record = item(row)
    assert record[column] == shown
    assert type(record[column]) is type(shown)
    assert list(record.get(UNFIT, {})) == ([] if shown is not None else [column])
    assert {name for name, value in record.items() if value is not None} <= {"id", column, UNFIT}


@pytest.mark.parametrize(
    ("stored", "literal"),
    [("5", "'5'"), ("it's", "'it''s'"), (b"\x00\xff", "X'00FF'"), (5.5, "5.5"), (math.inf, "inf"), (-7.5, "-7.5")],
)
def test_what_does_not_fit_is_written_as_sql_would(stored: Any, literal: str) -> None:
    row = [1, *[None] * (len(ALL_COLUMNS) - 1)]
    row[ALL_COLUMNS.index("total_tokens")] = stored
    assert item(row)[UNFIT] == {"total_tokens": literal}


@pytest.mark.parametrize("stored", ["x" * 100_000, b"x" * 100_000])
def test_what_does_not_fit_cannot_swell_an_answer(stored: Any) -> None:
    row = [1, *[None] * (len(ALL_COLUMNS) - 1)]
    row[ALL_COLUMNS.index("total_tokens")] = stored
    assert len(item(row)[UNFIT]["total_tokens"]) == MAX_UNFIT_CHARS


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_that_is_no_unicode_is_read_with_marks_in_its_place(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "odd.db"
    odd.make(path, encoding=encoding)
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM completion_requests")
    lone = {"UTF-8": "X'61FF62'", "UTF-16le": "X'610000D8'", "UTF-16be": "X'0061D800'"}[encoding]
    connection.execute(f"INSERT INTO completion_requests (model, error_type) VALUES (CAST({lone} AS TEXT), 'gut: ü')")
    connection.close()
    reader = SqliteReader(path)
    ((model, error_type, number),) = read(
        reader, "SELECT model, error_type, 7 FROM completion_requests LIMIT 1", columns=3
    )
    assert "\N{REPLACEMENT CHARACTER}" in model
    assert (error_type, number) == ("gut: ü", 7)


def test_stamps_that_are_no_versions_are_named_and_come_first(tmp_path: Path) -> None:
    odd.make(tmp_path / "odd.db")
    names = list(records_by_version(SqliteReader(tmp_path / "odd.db")))
    assert names[-1] == "10.0.0"
    assert {"(none)", "", "v2.0.0", " 2.0.0 ", "-5", "2.5", "b''"} <= set(names)


def test_stamps_are_named_as_migrations_name_them() -> None:
    model = pytest.importorskip("llm_metrics_proxy.migration.model")
    for stamp in (None, "", "2.0.0", 5, 2.5, b"\x00", math.inf):
        assert described(stamp) == model.describe_stamp(stamp)


def test_a_file_whose_next_schema_step_is_not_applied_yet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "first.db"
    odd.make(path)
    connection = apsw.Connection(str(path))
    for name in ("timestamp_original", "recompute_reason"):
        connection.execute(f"ALTER TABLE completion_requests DROP COLUMN {name}")
    connection.close()
    records = list_requests(SqliteReader(path), EVERYTHING, 1000).items
    assert len(records) == len(odd.VALUES)
    assert {(one["timestamp_original"], one["recompute_reason"]) for one in records} == {(None, None)}
