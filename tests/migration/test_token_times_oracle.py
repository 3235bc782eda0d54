"""The oracle of 4.0.0 by itself: what older records say of their tokens' times, and what it makes of that."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.migration.token_times import INPUTS, TIMES
from llm_metrics_proxy.migration.token_times_oracle import oracle
from llm_metrics_proxy.safe_migrations import migrate_to_version_4_0_0

WRITTEN: Final = tuple(change.column for change in migrate_to_version_4_0_0().changes)
INF: Final = float("inf")
STREAM: Final[dict[str, Any]] = {
    "is_streaming": 1, "response_time_ms": 1300.0, "time_to_first_token_ms": 200.0, "time_to_first_output_ms": 250.0,
    "time_to_last_token_ms": 1200.0, "completion_tokens": 101, "outcome": "completed",
}  # fmt: skip
WHOLE: Final = {**STREAM, "is_streaming": 0, **dict.fromkeys(TIMES, 1300.0)}


def told(base: dict[str, Any] | None = None, /, **known: Any) -> dict[str, Any]:
    """What it gives, by column."""
    row = {**(STREAM if base is None else base), **known}
    values = oracle(*(row.get(name) for name in INPUTS))
    return dict(zip((*WRITTEN, "recompute_reason"), values, strict=True))


def speed(**known: Any) -> tuple[Any, Any, Any]:
    it = told(**known)
    return it["time_per_output_token_ms"], it["output_tokens_per_second"], it["recompute_reason"]


def times(*base: dict[str, Any], **known: Any) -> list[Any]:
    it = told(*base, **known)
    return [it[name] for name in TIMES]


def test_a_stream_keeps_its_times_and_gets_a_speed() -> None:
    assert times() == [200.0, 250.0, 1200.0]
    assert speed() == (10.0, 100.0, None)


def test_an_answer_in_one_piece_has_neither_and_owes_no_reason() -> None:
    for base in (WHOLE, {**WHOLE, "is_streaming": 0.0}, {**WHOLE, "response_time_ms": None}):
        assert list(told(base).values()) == [None] * 6
    assert told(WHOLE, recompute_reason="no_total_tokens")["recompute_reason"] == "no_total_tokens"
    assert told(WHOLE, time_to_first_token_ms="soon", completion_tokens=b"7")["time_to_first_token_ms"] is None


@pytest.mark.parametrize("unclear", [None, "true", "false", "1", "0", b"1", 2, -1, 0.5, INF])
def test_where_nothing_says_whether_it_was_a_stream_the_first_token_does(unclear: Any) -> None:
    assert times(is_streaming=unclear) == [200.0, 250.0, 1200.0]
    assert speed(is_streaming=unclear) == (10.0, 100.0, None)
    for first in (1300.0, 1300, 1400.0, INF):
        assert times(is_streaming=unclear, time_to_first_token_ms=first) == [None, None, None]
    assert times(is_streaming=unclear, response_time_ms=None) == [200.0, 250.0, 1200.0]
    assert times(is_streaming=unclear, response_time_ms="1300") == [200.0, 250.0, 1200.0]
    for missing in (None, "200", b"200"):
        assert times(is_streaming=unclear, time_to_first_token_ms=missing) == [missing, 250.0, 1200.0]
        assert speed(is_streaming=unclear, time_to_first_token_ms=missing) == (None, None, None), "no reason is owed"


def test_events_that_were_read_are_the_better_witness() -> None:
    assert times(is_streaming=0, content_chunks=0) == [200.0, 250.0, 1200.0]
    assert times(is_streaming=0, content_chunks="3") == [None, None, None]
    assert times(is_streaming=None, content_chunks=2, time_to_first_token_ms=1300.0) == [1300.0, 250.0, 1200.0]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"completion_tokens": None}, "no_completion_tokens"),
        ({"completion_tokens": "101"}, "no_completion_tokens"),
        ({"completion_tokens": None, "time_to_first_token_ms": None}, "no_completion_tokens"),
        ({"completion_tokens": 1}, None),
        ({"completion_tokens": 0}, None),
        ({"completion_tokens": -101}, None),
        ({"completion_tokens": 1.5}, None),
        ({"completion_tokens": 0, "time_to_first_token_ms": None}, None),
        ({"time_to_first_token_ms": None}, "no_token_times"),
        ({"time_to_last_token_ms": None}, "no_token_times"),
        ({"time_to_last_token_ms": b"1200"}, "no_token_times"),
        ({"time_to_last_token_ms": 200.0}, "no_time_between_tokens"),
        ({"time_to_last_token_ms": 199.0}, "no_time_between_tokens"),
        ({"time_to_first_token_ms": -0.5}, "no_time_between_tokens"),
        ({"time_to_first_token_ms": float("-inf")}, "no_time_between_tokens"),
        ({"time_to_first_token_ms": INF, "time_to_last_token_ms": INF}, "no_time_between_tokens"),
        ({"time_to_first_token_ms": 2**53, "time_to_last_token_ms": 2**53 + 1}, "no_time_between_tokens"),
        ({"time_to_last_token_ms": INF}, "speed_not_finite"),
        ({"completion_tokens": INF}, "speed_not_finite"),
        ({"time_to_first_token_ms": 0.0, "time_to_last_token_ms": 5e-324}, "speed_not_finite"),
    ],
)
def test_a_complete_stream_without_a_speed_owes_a_reason_unless_it_had_fewer_than_two_tokens(
    known: dict[str, Any], reason: str | None
) -> None:
    assert speed(**known) == (None, None, reason)
    assert speed(**known, outcome="upstream_truncated") == (None, None, None), "of what broke off nothing is expected"
    assert speed(**known, recompute_reason="older")[2] == (reason or "older")


def test_numbers_of_any_kind_count_and_whole_ones_are_not_divided_as_such() -> None:
    whole = {"time_to_first_token_ms": 200, "time_to_last_token_ms": 1203, "completion_tokens": 3}
    assert speed(**whole) == (501.5, 2 * 1000.0 / 1003, None)
    assert speed(completion_tokens=101.0) == (10.0, 100.0, None)
    assert speed(completion_tokens=2**63 - 1)[1] == float(2**63 - 2) * 1000.0 / 1000.0
    assert speed(outcome="timeout") == (10.0, 100.0, None), "as far as it came"


values = (
    st.none() | st.integers(-2, 3) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
    | st.sampled_from([200.0, 1200.0, 1300.0, "1", "", b"", b"1", "completed"])
)  # fmt: skip


@given(st.tuples(*(values for _name in INPUTS)))
def test_its_own_results_give_the_same_values_again(row: tuple[Any, ...]) -> None:
    older = dict(zip(INPUTS, row, strict=True))
    first = told({}, **older)
    assert told({}, **{**older, **first}) == first
    with_originals = {**older, **first, **{name: older[name] for name in TIMES}}  # as verification reads them
    assert told({}, **with_originals) == first
