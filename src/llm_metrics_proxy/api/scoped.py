"""What a token that sees only some records may ask, and the application that answers it.

Such a reader is answered by an application of its own, made of the same routes over other ports: its records are
``ScopedRecords``, what is watched is cut to its scope, and of the workers and the counters, which are about all
requests, it has nothing. So no route has to remember the scope, and none can get around it.

The second lock is the table below. It says of each path why it may be asked; a path that is not in it is refused, and a
test fails until whoever adds a route has said what it is.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from starlette.routing import Route
from starlette.types import ASGIApp

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import MAX_ROWS, Query
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.scope import ReadToken, ScopedRecords
from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.ports import ApiPorts, WatchPorts
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.quotas import LimitWindow
from llm_metrics_proxy.servers.report import NO_SERVERS
from llm_metrics_proxy.watch.budgets import BudgetReport, BudgetStanding
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport

# Answers about records, which are those of the scope, or about what was cut to it.
SCOPED: Final = frozenset(
    f"/api/v1/{name}"
    for name in (
        "requests", "requests/{request_id}", "summary", "errors", "query", "timeseries", "breakdown", "compare",
        "distribution", "heatmap", "export", "live", "report", "quotas", "budgets", "sessions",
        "sessions/{session_id:path}", "costs", "changes",
    )
)  # fmt: skip
_NO_DATA: Final = "it shows no record and no number"
HARMLESS: Final = {
    "/health": "supervisors ask it without any token",
    "/ready": "supervisors ask it without any token",
    "/docs": _NO_DATA,
    "/openapi.json": _NO_DATA,
    "/help": _NO_DATA,
    "/help/{name:path}": _NO_DATA,
    "/session": "it says who asks, and signs in and out",
    "/mcp": "its tools ask the paths of this table, of the application for the same scope",
}
REFUSED: Final = {
    "/metrics": "Prometheus' counters are about all requests",
    "/api/v1/versions": "it counts all records",
    "/api/v1/migrations/current": "migrations are about all records",
    "/api/v1/settings": "settings are those of the whole program",
    "/api/v1/slos": "objectives are about all requests",
    "/api/v1/alerts": "alerts are about all requests",
    "/api/v1/servers": "servers work for everyone",
}
_MOST_APPS: Final = 64  # the one asked longest ago gives way, and is made again when it is needed
_KEYS_FOR_S: Final = 60.0
_KEYS_OF: Final = timedelta(days=8)  # longer than any window of a subscription


class ScopedApps:
    """The application of each scope. From any thread."""

    def __init__(self, ports: ApiPorts, make: Callable[[ApiPorts], ASGIApp]) -> None:
        self._ports, self._make = ports, make
        self._apps: OrderedDict[ReadToken, ASGIApp] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, token: ReadToken) -> ASGIApp:
        """Made when it is first asked, which takes some tenths of a second."""
        with self._lock:
            app = self._apps.get(token)
            if app is None:
                app = self._apps[token] = self._make(scoped_ports(self._ports, token))
            self._apps.move_to_end(token)
            while len(self._apps) > _MOST_APPS:
                self._apps.popitem(last=False)
            return app


def scoped_ports(ports: ApiPorts, token: ReadToken) -> ApiPorts:
    """Ports through which nothing is seen that is not of the scope."""
    records = ScopedRecords(ports.records, token.conditions)
    keys = _Keys(records, token.conditions, ports.clock)
    quotas = ports.book.quotas
    return replace(
        ports,
        records=records,
        book=CounterBook(),
        service_status=lambda: None,
        scoreboard=None,
        versions=dict,
        settings=tuple,
        watch=None if ports.watch is None else _ScopedWatch(ports.watch, token.conditions),
        servers=NO_SERVERS,
        telemetry=None,
        shipping=None,
        site={},
        windows=lambda: [windows for windows in quotas.windows() if keys.admit(windows[-1])],
        reader=token,
    )


def refuse_others(routes: Sequence[object]) -> None:
    """Every route that is not for scopes answers 403 instead, and says why."""
    for route in routes:
        if isinstance(route, Route) and route.path not in SCOPED and route.path not in HARMLESS:
            why = REFUSED.get(route.path, "it has not been said to be about a part of the records")
            route.app = error_response(
                403, "out_of_scope", f"this token sees a part of the records only, and {why}; ask with metrics_token"
            )


class _Keys:
    """Whose limits a scope sees: of the keys that it names, else of those with which its requests were sent lately, as
    their answers have told it."""

    def __init__(self, records: Records, conditions: tuple[Condition, ...], clock: Callable[[], float]) -> None:
        self._records, self._clock = records, clock
        self._named = next((one for one in conditions if one.name == "api_key_id"), None)
        self._found: tuple[float, frozenset[tuple[str, str]]] = (float("-inf"), frozenset())

    def admit(self, window: LimitWindow) -> bool:
        """Whether the scope sees it. Raises ``StoreError``."""
        if self._named is not None:
            return self._named.admits(window.api_key_id)
        return (window.backend, window.api_key_id) in self._used()

    def _used(self) -> frozenset[tuple[str, str]]:
        at, found = self._found
        if time.monotonic() - at > _KEYS_FOR_S:
            now = datetime.fromtimestamp(self._clock(), UTC)
            selection = RequestFilter(start=now - _KEYS_OF, end=now + timedelta(seconds=1))
            query = Query(group_by=("backend_name", "backend", "api_key_id"), filter=selection, limit=MAX_ROWS)
            rows = [row.key for row in ask(self._records.sources(), query, now).rows if not row.merged]
            found = frozenset(
                (str(key["backend_name"] or key["backend"] or ""), str(key["api_key_id"] or "")) for key in rows
            )
            self._found = (time.monotonic(), found)
        return found


class _ScopedWatch:
    """Of what is watched, what is about the scope alone: of budgets, those of its own values."""

    def __init__(self, watch: WatchPorts, conditions: tuple[Condition, ...]) -> None:
        self._watch, self._conditions = watch, conditions

    def slos(self) -> list[SloReport]:
        """They are about all requests."""
        return []

    def alerts(self) -> list[AlertReport]:
        """They are about all requests."""
        return []

    def budgets(self) -> list[BudgetReport]:
        """Each with the standings that are of the scope; none without one."""
        found = []
        for report in self._watch.budgets():
            standings = [one for one in report.standings if self._sees(report, one)]
            if standings:
                found.append(
                    msgspec.structs.replace(
                        report, standings=standings, webhook=None, error=None, waiting=0, last_delivery_error=None
                    )
                )
        return found

    def _sees(self, report: BudgetReport, standing: BudgetStanding) -> bool:
        """Whether every request of it is of the scope: each of the scope's conditions follows from the budget's."""
        about = list(RequestFilter(**msgspec.structs.asdict(report.filter)).conditions)
        if report.each is not None and report.each.startswith("tag:") and standing.value is not None:
            about.append(Condition("tag", "=", (f"{report.each.removeprefix('tag:')}={standing.value}",)))
        elif report.each is not None:
            about.append(Condition(report.each, "=", (standing.value,)))
        return all(any(_follows(one, other) for other in about) for one in self._conditions)


def _follows(condition: Condition, given: Condition) -> bool:
    """Whether what meets ``given`` meets ``condition`` too. Of several tags, all must be there."""
    if given.name != condition.name or given.op != "=":
        return False
    if condition.name == "tag":
        return set(condition.values) <= set(given.values)
    return set(given.values) <= set(condition.values)
