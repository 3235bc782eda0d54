"""The formulas and the stamp."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.metrics_service import APP_VERSION, FORMULAS, derive, to_row
from llm_metrics_proxy.record import COLUMNS, DERIVED, RESTATED
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
    assert FORMULAS["2.0.0"](record) == (expected,)


@given(st.none() | st.integers(-(2**40), 2**40), st.none() | st.floats())
def test_tokens_per_second_is_none_exactly_when_an_input_is_not_positive(tokens: int | None, ms: float | None) -> None:
    value, *_ = derive(an_ended_record(1, total_tokens=tokens, response_time_ms=ms))
    if tokens is None or tokens <= 0 or ms is None or math.isnan(ms) or ms <= 0:
        assert value is None
    else:
        assert value == tokens * 1000 / ms


def test_every_formula_version_gives_every_derived_column() -> None:
    for formula in FORMULAS.values():
        known = len(formula(an_ended_record(1)))
        assert known == (1 if formula is FORMULAS["2.0.0"] else len(DERIVED) + len(RESTATED))


def test_the_programs_own_version_has_a_formula() -> None:
    assert derive is FORMULAS[APP_VERSION]


def test_a_row_is_the_record_its_derived_values_and_the_stamp() -> None:
    record = an_ended_record(7, model="m")
    row = dict(zip(COLUMNS[1:], to_row(record), strict=True))
    assert row["request_id"] == record.request_id
    assert row["model"] == "m"
    assert row["tokens_per_second"] == 20.0
    assert row["app_version"] == APP_VERSION
