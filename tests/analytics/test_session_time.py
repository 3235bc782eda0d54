"""Where time goes: all parts add up, whatever overlaps."""

from itertools import pairwise
from math import isclose
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.session_time import PAUSE_MS, PHASES, Phases, phases_of, shared_out
from tests.examples import examples

MS = 1000  # microseconds

PARTS = st.one_of(
    st.builds(Phases, *[st.floats(0, 1e6)] * 3, st.none()),
    st.builds(Phases, st.none() | st.floats(0, 1e4), st.none(), st.none(), st.floats(0, 1e6)),
    st.just(Phases(None, None, None, None)),
)
SESSION = st.lists(st.tuples(st.integers(0, 10**10), PARTS), max_size=30).map(
    lambda one: sorted(one, key=lambda request: request[0])
)


@examples(200)
@given(session=SESSION)
def test_all_parts_of_the_time_add_up_to_the_whole(session: list[tuple[int, Phases]]) -> None:
    began, phases = [at for at, _ in session], [parts for _, parts in session]
    shares, of_request, gaps = shared_out(began, phases)
    parts = [getattr(shares, f"{phase}_ms") for phase in PHASES]
    whole = sum(parts) + shares.between_ms + shares.pauses_ms
    assert isclose(whole, shares.total_ms, rel_tol=1e-9, abs_tol=1e-6)
    assert isclose(sum(of_request), sum(parts), rel_tol=1e-9, abs_tol=1e-6)
    assert isclose(sum(gaps), shares.between_ms + shares.pauses_ms, rel_tol=1e-9, abs_tol=1e-6)
    assert min([*parts, *of_request, *gaps, 0.0]) >= 0


@examples(100)
@given(session=SESSION)
def test_each_moment_is_given_to_those_open_in_equal_parts_as_a_slow_oracle_counts(
    session: list[tuple[int, Phases]],
) -> None:
    began, phases = [at for at, _ in session], [parts for _, parts in session]
    ends = [at + round(parts.total * 1000) for at, parts in session]
    moments = sorted({*began, *ends})
    expected = [0.0] * len(session)
    for begin, end in pairwise(moments):
        there = [place for place in range(len(session)) if began[place] <= begin and end <= ends[place]]
        for place in there:
            expected[place] += (end - begin) / len(there) / 1000
    assert shared_out(began, phases).of_request == pytest.approx(expected, rel=1e-9, abs=1e-3)


def test_two_at_once_share_and_a_pause_is_nobodys() -> None:
    whole = Phases(100.0, 400.0, 500.0, None)
    shares, of_request, gaps = shared_out([0, 0, 2_000 * MS, 70_000 * MS], [whole] * 4)
    assert (shares.waiting_ms, shares.first_token_ms, shares.generating_ms) == (300.0, 1200.0, 1500.0)
    assert of_request == [500.0, 500.0, 1000.0, 1000.0]
    assert gaps == [0.0, 0.0, 1000.0, 67_000.0]
    assert (shares.between_ms, shares.pauses_ms, shares.total_ms) == (1000.0, 67_000.0, 71_000.0)
    assert gaps[3] > PAUSE_MS


def record(**moments: Any) -> dict[str, Any]:
    return {"response_time_ms": None, "request_sent_ms": None, "time_to_first_token_ms": None, **moments}


@pytest.mark.parametrize(
    ("moments", "parts"),
    [
        ({"response_time_ms": 900.0, "request_sent_ms": 5.0, "time_to_first_token_ms": 300.0}, (5, 295, 600, None)),
        ({"response_time_ms": 900.0, "request_sent_ms": 5.0}, (5, None, None, 895)),
        ({"response_time_ms": 900.0}, (None, None, None, 900)),
        ({"response_time_ms": 900.0, "time_to_first_token_ms": 300.0}, (0, 300, 600, None)),
        ({"response_time_ms": 900.0, "request_sent_ms": 500.0, "time_to_first_token_ms": 300.0}, (300, 0, 600, None)),
        ({"response_time_ms": -3.0, "time_to_first_token_ms": 5.0}, (0, 0, 0, None)),
        ({}, (None, None, None, None)),
    ],
)
def test_a_response_time_is_divided_by_the_moments_that_are_known(
    moments: dict[str, Any], parts: tuple[float | None, ...]
) -> None:
    assert phases_of(record(**moments)) == parts
