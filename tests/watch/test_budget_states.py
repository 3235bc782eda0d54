"""What a budget tells, whatever the clock and the spending do."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llm_metrics_proxy.watch.budget_states import PROJECTED, REACHED, BudgetChange, BudgetState, Spending, step
from llm_metrics_proxy.watch.rules import BudgetRule

DAY_S = 86_400.0


def a_budget(**changes: object) -> BudgetRule:
    values: dict[str, object] = {"name": "b", "limit": 10.0, "unit": "USD", "per": "day"}
    return BudgetRule(**{**values, **changes})  # type: ignore[arg-type]


def at(day: int, spent: float, projected: float = 0.0) -> Spending:
    return Spending(day * DAY_S, DAY_S, spent, max(spent, projected))


def told(budget: BudgetRule, *spending: Spending) -> list[BudgetChange]:
    state, changes = BudgetState(), []
    for one in spending:
        state, change = step(budget, state, one)
        changes += [] if change is None else [change]
    return changes


def test_each_level_is_told_once_in_a_period() -> None:
    spent = [at(1, amount) for amount in (1, 5, 5, 7.9, 8, 9, 10, 11, 30)]
    assert told(a_budget(), *spent) == [BudgetChange(REACHED, level) for level in (0.5, 0.8, 1.0)]


def test_of_several_levels_at_a_time_the_highest_is_told() -> None:
    assert told(a_budget(), at(1, 0), at(1, 9)) == [BudgetChange(REACHED, 0.8)]


def test_a_new_period_begins_at_nothing() -> None:
    assert told(a_budget(), at(1, 12), at(2, 0), at(2, 6)) == [BudgetChange(REACHED, 1.0), BudgetChange(REACHED, 0.5)]


def test_the_projection_is_told_once_and_not_of_what_is_used_up() -> None:
    assert told(a_budget(), at(1, 2, 11), at(1, 3, 9), at(1, 4, 12)) == [BudgetChange(PROJECTED, 0.0)]
    assert told(a_budget(), at(1, 10, 30)) == [BudgetChange(REACHED, 1.0)]
    assert told(a_budget(), at(1, 10, 30), at(1, 10, 30)) == [BudgetChange(REACHED, 1.0)]
    assert told(a_budget(warn_projected=False), at(1, 2, 11)) == []


def test_a_clock_that_goes_back_over_midnight_tells_nothing_twice() -> None:
    changes = told(a_budget(), at(1, 9), at(2, 1), at(1, 9), at(1, 9.5), at(2, 2), at(2, 6))
    assert changes == [BudgetChange(REACHED, 0.8), BudgetChange(REACHED, 0.5)]


def test_a_clock_that_was_wrong_by_years_and_is_set_right_begins_anew() -> None:
    assert told(a_budget(), at(4000, 0), at(4000, 6), at(1, 9)) == [
        BudgetChange(REACHED, 0.5),
        BudgetChange(REACHED, 0.8),
    ]


def test_another_size_of_the_budget_begins_anew() -> None:
    state, _ = step(a_budget(), BudgetState(), at(1, 9))
    _, change = step(a_budget(limit=18.0), state, at(1, 9))
    assert change == BudgetChange(REACHED, 0.5)


class Telling(RuleBasedStateMachine):
    """Days pass, money is spent and given back, clocks jump, and the program starts again."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = a_budget()
        self.state = BudgetState()
        self.day = 10
        self.spent: dict[int, float] = {}
        self.told: dict[int, list[BudgetChange]] = {}

    def look(self, projected: float = 0.0) -> None:
        self.state, change = step(self.budget, self.state, at(self.day, self.spent.get(self.day, 0.0), projected))
        if change is not None:
            self.told.setdefault(self.day, []).append(change)

    @rule(amount=st.floats(-3, 8))
    def spend(self, amount: float) -> None:
        self.spent[self.day] = max(0.0, self.spent.get(self.day, 0.0) + amount)
        self.look()

    @rule(projected=st.floats(0, 40))
    def expect(self, projected: float) -> None:
        self.look(projected)

    @rule()
    def next_day(self) -> None:
        self.day += 1
        self.look()

    @rule()
    def the_clock_goes_back_a_day_and_forth(self) -> None:
        """Nothing of the day before is told again."""
        looked, before = self.state.period == self.day * DAY_S, list(self.told.get(self.day - 1, []))
        self.day -= 1
        self.look(99)
        self.day += 1
        assert not looked or self.told.get(self.day - 1, []) == before

    @rule()
    def restart(self) -> None:
        """What was stored is all that is known."""
        kept = self.state
        self.state = BudgetState(period=kept.period, limit=kept.limit, level=kept.level, projected=kept.projected)

    @invariant()
    def levels_rise_and_each_is_told_once(self) -> None:
        for changes in self.told.values():
            levels = [change.level for change in changes if change.kind == REACHED]
            assert levels == sorted(set(levels))
            assert sum(change.kind == PROJECTED for change in changes) <= 1

    @invariant()
    def what_was_reached_when_looked_was_told(self) -> None:
        if self.state.period == self.day * DAY_S:
            levels = [change.level for change in self.told.get(self.day, []) if change.kind == REACHED]
            assert self.state.level == max(levels, default=0.0)


Telling.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestTelling = Telling.TestCase
