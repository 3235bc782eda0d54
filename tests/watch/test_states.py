"""The state machine of an alert, beside a slow one that looks at the whole history each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.watch.states import AlertChange, AlertPhase, AlertState, step
from tests.watch.test_rules import a_rule

Look = tuple[float, bool]
gaps = st.floats(0, 30)
histories = st.lists(st.tuples(gaps, st.booleans()), max_size=60)
holds_s = st.integers(0, 40)


def looks(history: list[tuple[float, bool]]) -> list[Look]:
    """Gaps as times."""
    now, found = 1000.0, []
    for gap, holds in history:
        now += gap
        found.append((now, holds))
    return found


def told(history: list[Look], for_s: int, resolve_s: int) -> list[tuple[float, AlertChange]]:
    rule, state, found = a_rule(for_s=for_s, resolve_s=resolve_s), AlertState(), []
    for now, holds in history:
        state, change = step(rule, state, holds, now)
        if change is not None:
            found.append((now, change))
    return found


def slowly(history: list[Look], for_s: int, resolve_s: int) -> list[tuple[float, AlertChange]]:
    """Of every moment: since when has it been as it is, without a break, since the last thing that was told?"""
    found: list[tuple[float, AlertChange]] = []
    after, fired = 0, None
    for index, (now, holds) in enumerate(history):
        wanted = fired is None
        if holds is not wanted:
            continue
        began = index
        while began > after and history[began - 1][1] is wanted:
            began -= 1
        if now - history[began][0] >= (for_s if wanted else resolve_s):
            fired, phase = (now, "firing") if wanted else (fired, "resolved")
            assert fired is not None
            found.append((now, AlertChange(phase, fired)))
            after = index + 1
            fired = fired if wanted else None
    return found


@given(histories, holds_s, holds_s)
def test_it_tells_what_a_look_at_the_whole_history_tells(
    history: list[tuple[float, bool]], for_s: int, resolve_s: int
) -> None:
    assert told(looks(history), for_s, resolve_s) == slowly(looks(history), for_s, resolve_s)


@given(histories, holds_s, holds_s)
def test_firing_and_resolved_come_in_turn_and_share_their_incident(
    history: list[tuple[float, bool]], for_s: int, resolve_s: int
) -> None:
    changes = [change for _, change in told(looks(history), for_s, resolve_s)]
    in_turn = [("firing", "resolved")[index % 2] for index in range(len(changes))]
    assert [change.phase for change in changes] == in_turn
    for fired, resolved in zip(changes[::2], changes[1::2], strict=False):
        assert fired.incident == resolved.incident


@given(st.integers(1, 100))
def test_what_flaps_faster_than_it_may_fire_tells_nothing(times: int) -> None:
    flapping = looks([(5.0, index % 2 == 0) for index in range(times)])
    assert told(flapping, for_s=6, resolve_s=0) == []


@given(st.integers(1, 100))
def test_what_flaps_while_it_fires_stays_one_incident(times: int) -> None:
    flapping = looks([(0.0, True), *((5.0, index % 2 == 1) for index in range(times))])
    assert [change.phase for _, change in told(flapping, for_s=0, resolve_s=6)] == ["firing"]


@given(histories, holds_s, holds_s, st.integers(0, 60))
def test_kept_and_read_again_anywhere_nothing_changes(
    history: list[tuple[float, bool]], for_s: int, resolve_s: int, at: int
) -> None:
    rule, state, found = a_rule(for_s=for_s, resolve_s=resolve_s), AlertState(), []
    for index, (now, holds) in enumerate(looks(history)):
        if index == at:  # as the database has it
            state = AlertState(phase=AlertPhase(str(state.phase)), since=state.since, well_since=state.well_since)
        state, change = step(rule, state, holds, now)
        found += [(now, change)] if change is not None else []
    assert found == told(looks(history), for_s, resolve_s)


def test_a_clock_that_goes_back_makes_nothing_happen_sooner() -> None:
    rule = a_rule(for_s=60)
    state, change = step(rule, AlertState(), True, 1000.0)
    assert (state.phase, change) == (AlertPhase.PENDING, None)
    state, change = step(rule, state, True, 100.0)
    assert (state.phase, change) == (AlertPhase.PENDING, None)
    state, change = step(rule, state, True, 159.0)
    assert change is None
    state, change = step(rule, state, True, 160.0)
    assert change == AlertChange("firing", 160.0)


@pytest.mark.parametrize("phase", list(AlertPhase))
def test_a_state_without_a_time_is_gone_on_with(phase: AlertPhase) -> None:
    state, _ = step(a_rule(for_s=5), AlertState(phase=phase), True, 10.0)
    assert state.phase in {AlertPhase.PENDING, AlertPhase.FIRING}
