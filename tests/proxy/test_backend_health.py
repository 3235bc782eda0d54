"""A backend's health: ejected after so many failures in a row, back with the first answer."""

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.backend_health import AWAY_CAUSES, HealthTracker
from llm_metrics_proxy.proxy.endings import Cause

SECOND = 10**9


def health(eject_after: int = 3) -> HealthTracker:
    return HealthTracker(eject_after, 5 * SECOND)


def test_failures_in_a_row_eject_and_an_answer_brings_back() -> None:
    it = health()
    assert [it.failed("reset", SECOND) for _ in range(3)] == [False, False, True]
    assert it.ejected
    assert not it.failed("reset", 2 * SECOND)  # it is ejected already
    assert it.answered()
    assert not it.ejected
    assert (it.failures, it.ejections, it.last_error) == (0, 1, "reset")


def test_an_answer_between_failures_begins_the_row_anew() -> None:
    it = health()
    it.failed("reset", 1)
    it.failed("reset", 2)
    assert not it.answered()
    assert not any(it.failed("reset", 3) for _ in range(2))


def test_an_ejected_backend_is_probed_once_in_an_interval_and_a_well_one_never() -> None:
    it = health(1)
    assert not it.probe_due(100 * SECOND)
    it.failed("dns", 100 * SECOND)
    due = [second for second in range(100, 120) if it.probe_due(second * SECOND)]
    assert due == [105, 110, 115]
    it.answered()
    assert not it.probe_due(200 * SECOND)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=40))
def test_it_is_ejected_exactly_while_the_last_failures_are_enough_and_no_answer_came_since(
    eject_after: int, events: list[bool]
) -> None:
    it, row = health(eject_after), 0
    for now, is_failure in enumerate(events, 1):
        if is_failure:
            row += 1
            assert it.failed("x", now) == (row == eject_after)
        else:
            assert it.answered() == (row >= eject_after)
            row = 0
        assert it.ejected == (row >= eject_after)
        assert it.failures == row


def test_what_the_client_or_this_proxy_did_says_nothing_about_the_backend() -> None:
    ours = {
        Cause.CLIENT_GONE, Cause.CLIENT_STALLED, Cause.SLOW_BODY, Cause.BAD_BODY, Cause.TOO_LARGE, Cause.FORBIDDEN,
        Cause.REFUSED, Cause.SATURATED, Cause.SHUTDOWN, Cause.INTERNAL,
    }  # fmt: skip
    assert not ours & AWAY_CAUSES
