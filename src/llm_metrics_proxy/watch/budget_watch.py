"""Measures budgets again and again, keeps what was told, and writes the messages. For one thread, but ``reports``.

States stand beside those of alerts, under names that no alert can have, and change with their messages in one
transaction.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import AlertMemory, StoredAlert
from llm_metrics_proxy.watch.budget_states import PROJECTED, BudgetChange, BudgetState, Spending, step
from llm_metrics_proxy.watch.budgets import BudgetReport, measure_budget, unmeasured
from llm_metrics_proxy.watch.delivery import shown_time
from llm_metrics_proxy.watch.rules import About, BudgetRule

log = logging.getLogger(__name__)

PREFIX: Final = "budget:"  # of states and messages; an alert's name has no colon
_ALL: Final = "all"  # in place of a value, of a budget for all
_NONE: Final = "none"


class BudgetMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook gets, as JSON. ``id`` is the same in every attempt to send it."""

    id: str
    budget: str
    state: str  # reached or projected
    level: float  # of the budget: 0.8 was reached
    value: str | None  # of the dimension `each`
    each: str | None
    spent: float
    projected: float
    limit: float
    unit: str
    per: str
    period_start: str
    at: str
    filter: About
    app_version: str = APP_VERSION


class BudgetWatch:
    """``leads``: whether this process keeps states and tells; others only measure, for what they show."""

    def __init__(self, records: Records, leads: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._records, self._leads, self._clock = records, leads, clock
        self._states: dict[str, BudgetState] | None = None
        self._reports: Mapping[str, BudgetReport] = {}

    def reports(self, rules: Sequence[BudgetRule]) -> list[BudgetReport]:
        """Every budget, in the order of the file, as last measured."""
        found = self._reports
        return [found.get(rule.name, unmeasured(rule)) for rule in rules]

    def watch(self, rule: BudgetRule, rules: Sequence[BudgetRule], memory: AlertMemory) -> bool:
        """Measure it, and keep what follows; whether that went well. Trouble is shown, and changes no state."""
        now = self._clock()
        moment = datetime.fromtimestamp(now, UTC)
        try:
            report, spending = measure_budget(self._records.sources(), rule, moment)
            if self._leads():
                self._keep(rule, rules, spending, memory, now)
            else:
                self._states = None  # whoever leads changes them; if this one leads next, it reads them again
        except (LlmMetricsProxyError, OSError) as error:
            self._failed(rule, str(error))
            return False
        except Exception as error:  # the thread's boundary: a bug in one budget keeps no other from being watched
            words = f"a bug: {type(error).__name__}: {error}"
            if self._failed(rule, words) != words:
                log.exception("budget %s met a bug", rule.name)
            return True
        self._reports = {**self._reports, rule.name: report}
        return True

    def _failed(self, rule: BudgetRule, words: str) -> str | None:
        """The error of before."""
        last = self._reports.get(rule.name, unmeasured(rule))
        self._reports = {**self._reports, rule.name: msgspec.structs.replace(last, error=words)}
        return last.error

    def _keep(
        self,
        rule: BudgetRule,
        rules: Sequence[BudgetRule],
        spending: Mapping[str | None, Spending],
        memory: AlertMemory,
        now: float,
    ) -> None:
        if self._states is None:
            self._states = {name: _read(stored) for name, stored in memory.states().items() if name.startswith(PREFIX)}
        known, changed, events = self._states, {}, {}
        for value, one in spending.items():
            key = _key(rule, value)
            before = known.get(key, BudgetState())
            after, change = step(rule, before, one)
            if change is not None:
                events.update(_event(rule, value, one, change, now))
                log.warning("budget %s%s: %s", rule.name, f" ({value})" if rule.each else "", _words(rule, one, change))
            if after != before and (after.level or after.projected or key in known):
                changed[key] = after
        current = {each.name for each in rules}
        over = {
            key
            for key, state in known.items()
            if _budget(key) not in current
            or (_budget(key) == rule.name and key not in changed and _is_over(state, spending, rule, key))
        }
        if changed or over or events:
            stored = {key: StoredAlert(_phase(state), state.period, state.limit) for key, state in changed.items()}
            memory.keep(stored, events, now, over)
            self._states = {key: state for key, state in known.items() if key not in over} | changed


def _is_over(state: BudgetState, spending: Mapping[str | None, Spending], rule: BudgetRule, key: str) -> bool:
    """It is of an earlier period, and its value used nothing in this one."""
    if key in {_key(rule, value) for value in spending} or not spending:
        return False
    return state.period is not None and state.period < min(one.period for one in spending.values())


def _key(rule: BudgetRule, value: str | None) -> str:
    shown = _ALL if rule.each is None else _NONE if value is None else f"={value}"
    return f"{PREFIX}{rule.name}:{shown}"


def _budget(key: str) -> str:
    return key.removeprefix(PREFIX).partition(":")[0]


def message_name(rule: BudgetRule) -> str:
    """Whose messages a budget's are, among those of alerts."""
    return f"{PREFIX}{rule.name}"


def _phase(state: BudgetState) -> str:
    return f"{state.level}{f' {PROJECTED}' if state.projected else ''}"


def _read(stored: StoredAlert) -> BudgetState:
    level, _, projected = stored.phase.partition(" ")
    return BudgetState(
        period=stored.since, limit=stored.well_since, level=float(level), projected=projected == PROJECTED
    )


def _event(
    rule: BudgetRule, value: str | None, now: Spending, change: BudgetChange, at: float
) -> dict[str, tuple[str, str]]:
    if rule.webhook is None:
        return {}
    started = shown_time(now.period)
    what = change.kind if change.kind == PROJECTED else f"{change.level:g}"
    message = BudgetMessage(
        id=f"{_key(rule, value)}/{rule.limit:g}/{started}/{what}",
        budget=rule.name,
        state=change.kind,
        level=change.level,
        value=value,
        each=rule.each,
        spent=now.spent,
        projected=now.projected,
        limit=rule.limit,
        unit=rule.unit,
        per=rule.per,
        period_start=started,
        at=shown_time(at),
        filter=rule.about,
    )
    return {message.id: (message_name(rule), msgspec.json.encode(message).decode())}


def _words(rule: BudgetRule, now: Spending, change: BudgetChange) -> str:
    of = f"{rule.limit:,.2f} {rule.unit} a {rule.per}"
    if change.kind == PROJECTED:
        return f"at this rate {now.projected:,.2f} of {of} will be used"
    return f"{now.spent:,.2f} of {of} are used ({change.level:.0%} reached)"
