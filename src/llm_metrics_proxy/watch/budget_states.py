"""The state machine of one budget, or of one value of a budget that is kept for each. Pure: times are Unix seconds.

In a period it only rises: each level is told once, the highest alone where several are passed at a time, and the
projection once, unless the budget is used up already. A new period, or another size of the budget, begins at nothing.

A clock that goes back over the beginning of a period finds that of before, of which all was told: it tells nothing
until the time is where it was. One that was wrong by more than a period, and is set right, begins at nothing.
"""

from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.watch.rules import BudgetRule

_SETTLED_PERIODS: Final = 1.5  # a state that is further ahead than so many periods came from a wrong clock
REACHED: Final = "reached"
PROJECTED: Final = "projected"


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """What was told in the period that began at ``period``, of a budget of the size ``limit``."""

    period: float | None = None
    limit: float | None = None
    level: float = 0.0
    projected: bool = False


class BudgetChange(NamedTuple):
    """What a message is about. ``level``: of ``reached``, which."""

    kind: str
    level: float


class Spending(NamedTuple):
    """What was used in the period that begins at ``period`` and is ``length_s`` long, and what will be by its end."""

    period: float
    length_s: float
    spent: float
    projected: float


def step(rule: BudgetRule, state: BudgetState, now: Spending) -> tuple[BudgetState, BudgetChange | None]:
    """The next state, and what to send."""
    ahead = 0.0 if state.period is None else state.period - now.period
    if state.period is None or ahead < 0 or ahead > _SETTLED_PERIODS * now.length_s or state.limit != rule.limit:
        state = BudgetState(period=now.period, limit=rule.limit)
    elif ahead > 0:
        return state, None
    reached = max((level for level in rule.levels if now.spent >= level * rule.limit), default=0.0)
    if reached > state.level:
        return msgspec.structs.replace(state, level=reached), BudgetChange(REACHED, reached)
    if rule.warn_projected and not state.projected and now.spent < rule.limit < now.projected:
        return msgspec.structs.replace(state, projected=True), BudgetChange(PROJECTED, state.level)
    return state, None
