"""The threads that watch: one measures alerts, one objectives, one budgets, and one sends messages.

None waits for another: an objective over a month may take seconds to measure, and a receiver may hang. A rule is
measured again after ``interval_s``, or after twenty times as long as it took, if that is longer, so that watching never
takes more than a small part of the machine.

States and messages are stored in one transaction, so that a restart forgets no incident and reports none twice. Only
the sending can happen twice, with the same id (see ``webhook``).
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from llm_metrics_proxy.analytics.good_hours import GoodHours
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.storage.base import AlertMemory, StoredAlert
from llm_metrics_proxy.watch import webhook
from llm_metrics_proxy.watch.budget_watch import PREFIX, BudgetWatch, message_name
from llm_metrics_proxy.watch.budgets import BudgetReport
from llm_metrics_proxy.watch.delivery import Deliveries, Post, events_of, shown_time
from llm_metrics_proxy.watch.evaluation import (
    AlertReport,
    SloReport,
    measure_alert,
    measure_slo,
    no_windows,
    unmeasured,
)
from llm_metrics_proxy.watch.limits import Windows
from llm_metrics_proxy.watch.rules import AlertRule, BudgetRule, SloRule, shown_webhook
from llm_metrics_proxy.watch.states import AlertPhase, AlertState, step

log = logging.getLogger(__name__)

LONGEST_SHARE: Final = 20.0  # measuring may take one part in this many of the time
_LOOK_S: Final = 0.5  # between two looks at what is due
_AGAIN_S: Final = 1.0  # after trouble
_Rule = TypeVar("_Rule", AlertRule, SloRule, BudgetRule)


class Rules(NamedTuple):
    """Everything that is watched."""

    slos: tuple[SloRule, ...] = ()
    alerts: tuple[AlertRule, ...] = ()
    budgets: tuple[BudgetRule, ...] = ()


class _Measured(NamedTuple):
    value: float | None
    n: int
    at: str | None
    error: str | None


_UNMEASURED: Final = _Measured(None, 0, None, None)


class Watcher:
    """``reports`` from any thread; ``use`` takes other rules at any time."""

    def __init__(
        self,
        records: Records,
        memory: Callable[[], AlertMemory],
        rules: Rules,
        *,
        interval_s: float = 15.0,
        ready: Callable[[], bool] = lambda: True,
        leads: Callable[[], bool] = lambda: True,
        windows: Windows = no_windows,
        post: Post = webhook.post,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``memory`` makes one store for each thread that needs it. Nothing is measured until ``ready``, and alerts
        only while ``leads`` says that this process does it for all; else it shows what the memory has."""
        self._records = records
        self._alert_hours, self._slo_hours = GoodHours(records), GoodHours(records)  # each for its thread
        self._memory = memory
        self._rules = rules
        self._interval_s = interval_s
        self._ready, self._leads, self._windows = ready, leads, windows
        self._budgets = BudgetWatch(records, leads, clock)
        self._clock = clock
        self._stop = threading.Event()
        self._deliveries = Deliveries(post, clock, self._stop.is_set)
        self._states: dict[str, AlertState] = {}
        self._loaded = False
        self._measured: dict[str, _Measured] = {}
        self._slo_reports: dict[str, SloReport] = {}
        self._threads: list[threading.Thread] = []

    # -- from outside

    def start(self) -> None:
        """Begin to watch."""
        loops = {
            "alerts": self._watch_alerts,
            "slos": self._watch_slos,
            "budgets": self._watch_budgets,
            "webhooks": self._deliver_on,
        }
        for name, loop in loops.items():
            thread = threading.Thread(target=loop, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the threads; one that waits for a receiver is left behind."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout_s)

    def use(self, rules: Rules, interval_s: float | None = None) -> None:
        """Watch these from now on, perhaps more or less often. An alert that stays keeps its state."""
        self._rules = rules
        self._interval_s = interval_s or self._interval_s
        self._alert_hours, self._slo_hours = GoodHours(self._records), GoodHours(self._records)

    def slos(self) -> list[SloReport]:
        """Every objective, in the order of the file."""
        return [self._slo_reports.get(rule.name, unmeasured(rule)) for rule in self._rules.slos]

    def alerts(self) -> list[AlertReport]:
        """Every alert, in the order of the file."""
        return [self._alert_report(rule) for rule in self._rules.alerts]

    def budgets(self) -> list[BudgetReport]:
        """Every budget, in the order of the file."""
        found = []
        for report in self._budgets.reports(self._rules.budgets):
            waiting, error = self._deliveries.waiting(f"{PREFIX}{report.name}")
            found.append(msgspec.structs.replace(report, waiting=waiting, last_delivery_error=error))
        return found

    # -- alerts

    def _watch_alerts(self) -> None:
        memory = self._memory()
        self._watch(lambda: self._rules.alerts, lambda rule: self.watch_alert(rule, memory))
        memory.close()

    def follow_alert(self, rule: AlertRule, memory: AlertMemory) -> bool:
        """What another process, which leads, has found about it; whether that could be read."""
        try:
            self._loaded = False  # if this one leads next, it goes on from there
            self._load(memory)
            self._loaded = False
        except (LlmMetricsProxyError, OSError) as error:
            self._measured[rule.name] = _UNMEASURED._replace(error=str(error))
            return False
        self._measured[rule.name] = _UNMEASURED
        return True

    def _watch(self, rules: Callable[[], Sequence[_Rule]], measure: Callable[[_Rule], bool]) -> None:
        """Measure each rule whenever it is due; soon again where ``measure`` says that it went wrong."""
        due: dict[str, float] = {}
        while not self._stop.wait(_LOOK_S):
            for rule in rules():
                if not self._ready() or self._stop.is_set():
                    break
                began = time.monotonic()
                if began < due.get(rule.name, 0.0):
                    continue
                went_well = measure(rule)
                now = time.monotonic()
                pause_s = max(self._interval_s, LONGEST_SHARE * (now - began))
                due[rule.name] = now + (pause_s if went_well else min(self._interval_s, _AGAIN_S))

    def watch_alert(self, rule: AlertRule, memory: AlertMemory) -> bool:
        """Measure it, and keep what follows; whether that went well. Trouble is shown in its report, and changes no
        state: the database may be locked by the ingester's batch, and is asked again soon."""
        if not self._leads():
            return self.follow_alert(rule, memory)
        now = self._clock()
        moment = datetime.fromtimestamp(now, UTC)
        try:
            self._load(memory)
            value, n = measure_alert(self._records.sources(), self._alert_hours, rule, moment, self._windows)
            before = self._states.get(rule.name, AlertState())
            after, change = step(rule, before, rule.holds(value, n), now)
            if after != before or rule.name not in self._states:
                events = {} if change is None else events_of(rule, change, value, n, moment)
                self._keep(memory, rule.name, after, events, now)
            if change is not None:
                event = "fires" if change.phase == AlertPhase.FIRING else "is resolved"
                log.warning("alert %s %s: %s is %s", rule.name, event, rule.metric, value)
        except (LlmMetricsProxyError, OSError) as error:
            last = self._measured.get(rule.name, _UNMEASURED)
            self._measured[rule.name] = last._replace(error=str(error))
            return False
        except Exception as error:  # the thread's boundary: a bug in one rule keeps no other from being watched
            last = self._measured.get(rule.name, _UNMEASURED)
            if last.error != _bug(error):
                log.exception("alert %s met a bug", rule.name)
            self._measured[rule.name] = last._replace(error=_bug(error))
            return True
        self._measured[rule.name] = _Measured(value, n, shown_time(now), None)
        return True

    def _load(self, memory: AlertMemory) -> None:
        if self._loaded:
            return
        self._states = {
            name: AlertState(phase=AlertPhase(stored.phase), since=stored.since, well_since=stored.well_since)
            for name, stored in memory.states().items()
            if not name.startswith(PREFIX)
        }
        self._loaded = True

    def _keep(
        self, memory: AlertMemory, name: str, state: AlertState, events: dict[str, tuple[str, str]], now: float
    ) -> None:
        gone = self._states.keys() - {rule.name for rule in self._rules.alerts}
        memory.keep({name: StoredAlert(state.phase, state.since, state.well_since)}, events, now, set(gone))
        self._states = {other: kept for other, kept in self._states.items() if other not in gone} | {name: state}

    def _alert_report(self, rule: AlertRule) -> AlertReport:
        state = self._states.get(rule.name, AlertState())
        measured = self._measured.get(rule.name, _UNMEASURED)
        waiting, last_error = self._deliveries.waiting(rule.name)
        return AlertReport(
            name=rule.name,
            metric=rule.metric,
            op=rule.op,
            threshold=rule.threshold,
            window_s=rule.window_s,
            for_s=rule.for_s,
            resolve_s=rule.resolve_s,
            filter=rule.about,
            against=rule.against,
            webhook=shown_webhook(rule.webhook),
            phase=state.phase,
            since=None if state.since is None else shown_time(state.since),
            value=measured.value,
            n=measured.n,
            measured_at=measured.at,
            error=measured.error,
            waiting=waiting,
            last_delivery_error=last_error,
        )

    # -- objectives

    def _watch_slos(self) -> None:
        self._watch(lambda: self._rules.slos, self.watch_slo)

    def watch_slo(self, rule: SloRule) -> bool:
        """Measure it. Trouble is shown with the last numbers, and gives no reason to hurry."""
        try:
            now = datetime.fromtimestamp(self._clock(), UTC)
            report = measure_slo(self._records.sources(), self._slo_hours, rule, now)
        except (LlmMetricsProxyError, OSError) as error:
            last = self._slo_reports.get(rule.name, unmeasured(rule))
            report = msgspec.structs.replace(last, error=str(error))
        except Exception as error:  # as for alerts
            last = self._slo_reports.get(rule.name, unmeasured(rule))
            if last.error != _bug(error):
                log.exception("objective %s met a bug", rule.name)
            report = msgspec.structs.replace(last, error=_bug(error))
        self._slo_reports = {**self._slo_reports, rule.name: report}
        return True

    # -- budgets

    def _watch_budgets(self) -> None:
        memory = self._memory()
        self._watch(lambda: self._rules.budgets, lambda rule: self.watch_budget(rule, memory))
        memory.close()

    def watch_budget(self, rule: BudgetRule, memory: AlertMemory) -> bool:
        """Measure it, and keep what follows; whether that went well."""
        return self._budgets.watch(rule, self._rules.budgets, memory)

    # -- delivery

    def _deliver_on(self) -> None:
        memory = self._memory()
        while not self._stop.wait(_LOOK_S):
            if self._ready() and (self._rules.alerts or self._rules.budgets) and self._leads():
                self.deliver(memory)
        memory.close()

    def deliver(self, memory: AlertMemory) -> None:
        """Send what is due, once each."""
        urls = {rule.name: rule.webhook for rule in self._rules.alerts}
        urls |= {message_name(rule): rule.webhook for rule in self._rules.budgets}
        self._deliveries.send(memory, urls)


def _bug(error: Exception) -> str:
    return f"a bug: {type(error).__name__}: {error}"
