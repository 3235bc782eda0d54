"""Words of one limit become windows, bounded in number and size, whatever comes in which order."""

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.quotas.windows import (
    MOST_PAST_SAMPLES,
    MOST_SAMPLES,
    MOST_WINDOWS,
    LimitWindow,
    with_word,
)
from llm_metrics_proxy.quotas.words import QuotaLeft

HOURS = 3600.0
WINDOW_S = 5 * HOURS
START = 1_000_000.0


def word(at: float, left: float | None, resets_at: float | None, window_s: float | None = WINDOW_S) -> QuotaLeft:
    return QuotaLeft(
        backend="b", api_key_id="k", limit="primary", left=None, left_ratio=left, window_s=window_s, measured_at=at,
        resets_at=resets_at,
    )  # fmt: skip


def told(*words: QuotaLeft) -> tuple[LimitWindow, ...]:
    windows: tuple[LimitWindow, ...] = ()
    for one in words:
        windows = with_word(windows, one)
    return windows


def test_words_that_name_about_the_same_reset_are_of_one_window() -> None:
    reset = START + WINDOW_S
    (window,) = told(word(START, 1.0, reset), word(START + 600, 0.9, reset + 1.5), word(START + 1200, 0.7, reset - 40))
    assert [sample.left_ratio for sample in window.samples] == [1.0, 0.9, 0.7]
    assert window.resets_at == reset - 40
    assert window.began_at == START - 40
    assert window.used_ratio == 0.3


def test_a_later_reset_begins_a_window_and_the_one_before_stays_small() -> None:
    many = [word(START + 200 * number, 1 - number / 100, START + WINDOW_S) for number in range(80)]
    first, second = told(*many, word(START + WINDOW_S + 60, 0.99, START + 2 * WINDOW_S + 50))
    assert MOST_PAST_SAMPLES - 1 <= len(first.samples) <= MOST_PAST_SAMPLES
    assert (first.samples[0], first.samples[-1].left_ratio) == (told(many[0])[0].samples[0], 1 - 79 / 100)
    assert second.newest.left_ratio == 0.99


def test_a_window_that_begins_anew_early_is_another_one() -> None:
    assert len(told(word(START, 0.1, START + WINDOW_S), word(START + 60, 1.0, START + WINDOW_S + 2 * HOURS))) == 2


def test_an_answer_that_was_overtaken_changes_nothing() -> None:
    newest = told(word(START + 10, 0.5, START + WINDOW_S))
    assert with_word(newest, word(START, 0.6, START + WINDOW_S)) == newest


def test_a_limit_without_a_length_has_one_window_of_the_last_hour() -> None:
    (window,) = told(
        *(word(START + 100 * number, 0.5, START + 100 * number + 2, None) for number in range(100)),
    )
    assert window.first_at > START + 100 * 99 - HOURS
    assert window.resets_at == START + 100 * 99 + 2
    assert window.began_at is None


def test_a_server_that_names_no_reset_is_believed_for_an_hour() -> None:
    assert len(told(word(START, 0.5, None), word(START + 3000, 0.4, None))) == 1
    assert len(told(word(START, 0.5, None), word(START + 3700, 0.4, None))) == 2


words = st.builds(
    word,
    st.floats(START, START + 400 * HOURS).map(lambda at: round(at, 3)),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(START, START + 500 * HOURS),
    st.sampled_from([None, WINDOW_S, 168 * HOURS]),
)


@given(st.lists(words, max_size=200))
def test_whatever_is_said_windows_are_few_small_and_in_order(said: list[QuotaLeft]) -> None:
    windows = told(*said)
    assert len(windows) <= MOST_WINDOWS
    times = [sample.at for window in windows for sample in window.samples]
    assert times == sorted(set(times))
    assert all(len(window.samples) <= MOST_SAMPLES for window in windows)
    assert all(len(window.samples) <= MOST_PAST_SAMPLES for window in windows[:-1])
    if said:
        assert windows[-1].newest.measured_at == max(one.measured_at for one in said)
        newest = [one.left_ratio for one in said if one.measured_at == windows[-1].newest.measured_at]
        assert windows[-1].newest.left_ratio == newest[-1]


@given(st.lists(st.floats(0.5, 400.0), min_size=1, max_size=400))
def test_what_was_used_of_a_window_is_never_lost_by_thinning(steps: list[float]) -> None:
    at, left = START, 1.0
    windows: tuple[LimitWindow, ...] = ()
    for step in steps:
        at, left = at + step, left - 0.002
        if at >= START + WINDOW_S:
            break
        windows = with_word(windows, word(at, left, START + WINDOW_S))
    (window,) = windows
    assert window.used_ratio is not None
    assert abs(window.used_ratio - (1 - (window.samples[-1].left_ratio or 0))) < 1e-9
