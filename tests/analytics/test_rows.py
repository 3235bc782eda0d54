"""Stored rows as objects for JSON."""

import math
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics import get_request
from llm_metrics_proxy.analytics.rows import UNFIT, described, item, items_of
from llm_metrics_proxy.columns import MAX_COUNT
from llm_metrics_proxy.migration import model
from llm_metrics_proxy.record import ALL_COLUMNS, MAX_UNFIT_CHARS, literal
from llm_metrics_proxy.wire import base as wire
from tests.analytics.database import Database, a_record


def a_row_with(column: str, stored: Any) -> list[Any]:
    row = [1, *[None] * (len(ALL_COLUMNS) - 1)]
    row[ALL_COLUMNS.index(column)] = stored
    return row


@pytest.mark.parametrize(
    ("column", "stored", "shown"),
    [
        ("total_tokens", 5, 5),
        ("response_time_ms", 5.5, 5.5),
        ("is_streaming", 1, True),
        ("is_streaming", 0, False),
        ("is_streaming", True, True),
        ("model", "x", "x"),
        ("timestamp_original", 1_700_000_000, 1_700_000_000),
        ("timestamp_original", 1.5, 1.5),
        ("timestamp_original", "yesterday", "yesterday"),
        ("timestamp_original", b"\x01", "X'01'"),
        ("timestamp_original", -math.inf, "-inf"),
        (UNFIT, '{"model":"5"}', {"model": "5"}),
    ],
)
def test_a_value_is_shown_as_what_its_column_holds(column: str, stored: Any, shown: Any) -> None:
    record = item(a_row_with(column, stored))
    assert record[column] == shown
    assert type(record[column]) is type(shown)
    assert tuple(record) == ALL_COLUMNS
    assert {name for name, value in record.items() if value is not None} <= {"arrival", column}
    msgspec.json.encode(record)


def test_only_the_columns_asked_for_are_shown() -> None:
    assert items_of(("success", "model"))((1, "a")) == {"success": True, "model": "a"}


def test_a_record_of_our_own_lacks_nothing(database: Database) -> None:
    database.add(a_record())
    record = get_request(database.records, 1)
    assert record is not None
    assert (record["arrival"], record["host"], record[UNFIT]) == (1, "one", None)


def test_the_largest_count_is_that_of_the_proxy() -> None:
    assert wire.MAX_TOKENS == MAX_COUNT


@pytest.mark.parametrize(
    ("stored", "text"),
    [("5", "'5'"), ("it's", "'it''s'"), (b"\x00\xff", "X'00FF'"), (5.5, "5.5"), (math.inf, "inf"), (-7.5, "-7.5")],
)
def test_a_literal_is_as_sql_writes_it(stored: Any, text: str) -> None:
    assert literal(stored) == text


@pytest.mark.parametrize("stored", ["x" * 100_000, b"x" * 100_000])
def test_a_literal_cannot_swell_an_answer(stored: Any) -> None:
    assert len(literal(stored)) == MAX_UNFIT_CHARS


def test_stamps_are_named_as_migrations_name_them() -> None:
    for stamp in (None, "", "2.0.0"):
        assert described(stamp) == model.describe_stamp(stamp)
