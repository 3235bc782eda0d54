"""How fast a window is used, and whether it lasts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.quotas.outlook import LimitVerdict, Outlook, Used, duration, look_ahead, recent_since
from tests.quotas.test_windows import HOURS, START, WINDOW_S, told, word

RESET = START + WINDOW_S


def outlook(now: float, *left: tuple[float, float], used: Used | None = None) -> Outlook:
    (window,) = told(*(word(START + at, ratio, RESET) for at, ratio in left))
    return look_ahead(window, START + now, used)


def test_steady_use_of_a_quarter_an_hour_runs_out_an_hour_before_the_reset() -> None:
    found = outlook(2 * HOURS, (0.5 * HOURS, 0.875), (1 * HOURS, 0.75), (1.5 * HOURS, 0.625), (2 * HOURS, 0.5))
    assert found.verdict == LimitVerdict.RUNS_OUT
    assert found.burn_ratio_per_h == pytest.approx(0.25)
    assert found.burn_from == "samples"
    assert found.runs_out_at == pytest.approx(START + 4 * HOURS)
    assert found.early_s == pytest.approx(HOURS)
    assert found.left_at_reset_ratio == 0
    assert found.text == "At this rate it runs out in 2 h, 1 h before it begins anew."


def test_less_use_lasts() -> None:
    found = outlook(4 * HOURS, (3 * HOURS, 0.7), (4 * HOURS, 0.6))
    assert found.verdict == LimitVerdict.LASTS
    assert found.left_at_reset_ratio == pytest.approx(0.5)
    assert found.early_s == pytest.approx(-5 * HOURS)
    assert found.text == "At this rate it lasts: 50% is left when it begins anew in 1 h."


def test_who_pauses_sees_the_rate_fall() -> None:
    burst = [(0.0, 1.0), (0.5 * HOURS, 0.4)]
    rates = [outlook(at * HOURS, *burst).burn_ratio_per_h for at in (0.5, 1, 1.4, 2)]
    assert rates == pytest.approx([1.2, 0.6, 0.12, 0.0])
    assert outlook(2 * HOURS, *burst).verdict == LimitVerdict.IDLE


def test_the_beginning_counts_though_nobody_asked_then() -> None:
    """The first word comes half an hour into the window: what was used before is known, as all of it was left then."""
    assert outlook(0.5 * HOURS, (0.5 * HOURS, 0.8)).burn_ratio_per_h == pytest.approx(0.4)


def test_of_a_window_that_is_used_up_there_is_no_rate() -> None:
    found = outlook(2 * HOURS, (1 * HOURS, 0.2), (1.9 * HOURS, 0.0))
    assert (found.verdict, found.runs_out_at) == (LimitVerdict.USED_UP, START + 1.9 * HOURS)
    assert found.text == "Used up. It begins anew in 3 h."


def test_records_say_what_whole_percents_hide() -> None:
    left = [(1 * HOURS, 0.9), (2 * HOURS, 0.9)]
    assert outlook(2 * HOURS, *left).verdict == LimitVerdict.IDLE
    found = outlook(2 * HOURS, *left, used=Used(tokens=1000, recent_tokens=200))
    assert found.burn_from == "records"
    assert found.burn_ratio_per_h == pytest.approx(0.02)
    assert outlook(2 * HOURS, *left, used=Used(1000, 0)).verdict == LimitVerdict.IDLE


def test_without_a_length_nothing_is_said_of_the_future() -> None:
    (window,) = told(word(START, 0.5, START + 2, None))
    assert look_ahead(window, START + 1).verdict == LimitVerdict.UNKNOWN
    assert recent_since(window, START + 1) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "less than a minute"), (480, "8 min"), (4800, "1 h 20 min"), (187_200, "2 d 4 h"), (86_400, "1 d")],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(
    st.lists(st.tuples(st.floats(0, 0.99), st.floats(0, 1)), min_size=1, max_size=30),
    st.floats(0, 1),
    st.none() | st.builds(Used, st.floats(0, 1e9), st.floats(0, 1e9)),
)
def test_the_verdict_and_its_numbers_agree(said: list[tuple[float, float]], ahead: float, used: Used | None) -> None:
    windows = told(*(word(round(START + at * WINDOW_S, 3), left, RESET) for at, left in sorted(said)))
    window = windows[-1]
    now = window.samples[-1].at + ahead * (RESET - window.samples[-1].at)
    found = look_ahead(window, now, used)
    assert found.text
    if found.verdict in {LimitVerdict.RUNS_OUT, LimitVerdict.LASTS}:
        assert found.runs_out_at is not None
        assert found.runs_out_at >= now - 0.001
        assert (found.verdict == LimitVerdict.RUNS_OUT) == (found.early_s is not None and found.early_s > 0) or abs(
            found.early_s or 0
        ) < 0.01
        assert found.burn_ratio_per_h is not None
        assert found.burn_ratio_per_h > 0
        assert 0 <= (found.left_at_reset_ratio or 0) <= 1
