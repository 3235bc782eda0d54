"""The formulas and the stamp."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.metrics_service import APP_VERSION, FORMULAS, derive, formula_of, settle, to_row
from llm_metrics_proxy.record import BY_FORMULA, DERIVED, RESTATED, ROW_COLUMNS, STREAM_TIMES, RequestRecord
from tests.journal_parts import an_ended_record


@pytest.mark.parametrize(
    ("total_tokens", "response_time_ms", "expected"),
    [
        (30, 1500.0, 20.0),
        (1, 3.0, 1000 / 3.0),
        (150, 0.5, 300_000.0),
        (0, 1500.0, None),
        (-5, 1500.0, None),
        (None, 1500.0, None),
        (30, None, None),
        (30, 0.0, None),
        (30, -1.0, None),
        (30, math.nan, None),
        (None, None, None),
    ],
)
def test_tokens_per_second_of_2_0_0(
    total_tokens: int | None, response_time_ms: float | None, expected: float | None
) -> None:
    record = an_ended_record(1, total_tokens=total_tokens, response_time_ms=response_time_ms)
    assert formula_of("2.0.0")(record) == (expected,)


@given(st.none() | st.integers(-(2**40), 2**40), st.none() | st.floats())
def test_tokens_per_second_is_none_exactly_when_an_input_is_not_positive(tokens: int | None, ms: float | None) -> None:
    value, *_ = derive(an_ended_record(1, total_tokens=tokens, response_time_ms=ms))
    if tokens is None or tokens <= 0 or ms is None or math.isnan(ms) or ms <= 0:
        assert value is None
    else:
        assert value == tokens * 1000 / ms


def test_a_formula_gives_what_its_version_knew_and_the_newest_all_that_is_calculated() -> None:
    known = [len(formula_of(version)(an_ended_record(1))) for version in FORMULAS]
    assert known == sorted(known)
    assert (known[0], len(formula_of("3.0.0")(an_ended_record(1))), known[-1]) == (1, 6, len(BY_FORMULA))
    assert {column.name for column in DERIVED} <= set(BY_FORMULA)
    assert set(BY_FORMULA) - {column.name for column in DERIVED} == {*RESTATED, *STREAM_TIMES}


def a_stream(**facts: Any) -> RequestRecord:
    """101 tokens within a second, the first of them after 200 ms."""
    told = {"is_streaming": True, "content_chunks": 90, "completion_tokens": 101}
    times = {"time_to_first_token_ms": 200.0, "time_to_first_output_ms": 250.0, "time_to_last_token_ms": 1200.0}
    return an_ended_record(1, **{**told, **times, **facts})


def of_4_0_0(record: RequestRecord) -> dict[str, Any]:
    return dict(zip(BY_FORMULA, formula_of("4.0.0")(record), strict=True))


@pytest.mark.parametrize(
    ("facts", "per_token_ms", "per_second"),
    [
        ({}, 10.0, 100.0),
        ({"completion_tokens": 2}, 1000.0, 1.0),
        ({"completion_tokens": 1}, None, None),
        ({"completion_tokens": 0}, None, None),
        ({"completion_tokens": None}, None, None),
        ({"completion_tokens": -7}, None, None),
        ({"time_to_first_token_ms": None}, None, None),
        ({"time_to_last_token_ms": None}, None, None),
        ({"time_to_last_token_ms": 200.0}, None, None),  # all in one read: no time passed that could be measured
        ({"time_to_last_token_ms": 199.0}, None, None),
        ({"time_to_first_token_ms": -1.0}, None, None),
        ({"time_to_first_token_ms": 0.0}, 12.0, 100 * 1000 / 1200),
        ({"time_to_last_token_ms": math.inf}, None, None),
        ({"time_to_last_token_ms": math.nan}, None, None),
        ({"time_to_first_token_ms": math.nan}, None, None),
        ({"time_to_first_token_ms": 0.0, "time_to_last_token_ms": 5e-324}, None, None),  # no finite speed
        ({"is_streaming": False}, 10.0, 100.0),  # nobody asked for a stream, and one came
        ({"content_chunks": None}, 10.0, 100.0),
        ({"content_chunks": None, "is_streaming": False}, None, None),
        ({"success": False, "outcome": "stream_error"}, 10.0, 100.0),  # as far as it came
    ],
)
def test_how_fast_tokens_came_by_4_0_0(
    facts: dict[str, Any], per_token_ms: float | None, per_second: float | None
) -> None:
    values = of_4_0_0(a_stream(**facts))
    assert values["time_per_output_token_ms"] == per_token_ms
    assert values["output_tokens_per_second"] == per_second


def test_only_streams_have_times_of_tokens_whatever_a_frame_says() -> None:
    whole = a_stream(is_streaming=False, content_chunks=None, success=False, outcome="stream_error")
    row = dict(zip(ROW_COLUMNS, to_row(whole), strict=True))
    assert [row[name] for name in STREAM_TIMES] == [None, None, None]
    assert (row["outcome"], row["error_phase"]) == ("upstream_error", "mid_stream"), "errors are told as by 3.0.0"
    streamed = dict(zip(ROW_COLUMNS, to_row(a_stream()), strict=True))
    assert [streamed[name] for name in STREAM_TIMES] == [200.0, 250.0, 1200.0]
    assert (streamed["time_per_output_token_ms"], streamed["tokens_per_second"]) == (10.0, 20.0)


def test_a_settled_record_gives_the_same_row() -> None:
    for facts in ({}, {"outcome": "stream_error", "success": False}, {"is_streaming": False, "content_chunks": None}):
        first, again = a_stream(**facts), a_stream(**facts)
        settle(again)
        assert to_row(first) == to_row(again)


def test_a_version_without_a_formula_of_its_own_calculates_by_the_newest_before_it() -> None:
    record = a_stream(success=False, outcome="stream_error")
    known = {version: formula_of(version)(record) for version in FORMULAS}
    for version, wanted in {"2.9.9": "2.0.0", "3.0.1": "3.0.0", "4.0.0": "4.0.0", "10.0.0": "4.0.0"}.items():
        assert formula_of(version)(record) == known[wanted], version
    assert len(set(known.values())) == 3  # that of 5.0.0 calculates as the one before, from tokens counted again
    assert derive(record) == formula_of(APP_VERSION)(record)
    with pytest.raises(ValueError, match="empty"):
        formula_of("1.0.0")


def test_a_row_is_the_record_its_derived_values_and_the_stamp() -> None:
    record = an_ended_record(7, model="m")
    row = dict(zip(ROW_COLUMNS, to_row(record), strict=True))
    assert row["request_id"] == record.request_id
    assert row["model"] == "m"
    assert row["tokens_per_second"] == 20.0
    assert row["app_version"] == APP_VERSION
