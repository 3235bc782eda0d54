"""Grafana's dashboard of this program's API: every question of it, and rows as jq makes them for the plugin."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jq
import pytest
from starlette.testclient import TestClient
from tools import make_dashboard

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.watch.budgets import BudgetReport, unmeasured
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport
from llm_metrics_proxy.watch.rules import About
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.api.service import client
from tests.api.test_scoped import replaced, standing
from tests.counting import count
from tests.quotas.test_book import CODEX, LIMITS, NOW, said
from tests.watch.test_budget_states import a_budget

ASKED: Final = [
    (panel["title"], panel["type"], target)
    for panel in make_dashboard.documents()[make_dashboard.API_FILE]["panels"]
    for target in panel.get("targets", ())
]


class WatchedByHand:
    """Something of everything that is watched."""

    def slos(self) -> list[SloReport]:
        return []

    def alerts(self) -> list[AlertReport]:
        return [
            AlertReport(
                name="slow", metric="response_time_ms.p95", op=">", threshold=100.0, window_s=300, for_s=0, resolve_s=0,
                filter=About(), against=None, webhook=None, phase="firing", since="2026-03-01T12:00:00Z", value=125.0,
            )
        ]  # fmt: skip

    def budgets(self) -> list[BudgetReport]:
        return [replaced(unmeasured(a_budget(name="team", each="user")), standing("anna"), standing("ben"))]


@pytest.fixture
def api(database: Database) -> TestClient:
    failed = {"success": False, "outcome": "upstream_error", "error_type": "rate_limit"}
    database.append(
        [
            a_row(a_record(number, session_id="s-1", app="claude-cli", **facts), error_category=category, cost_usd=0.5)
            for number, facts, category in ((0, {}, None), (1, failed, "limit"))
        ]
    )
    book = CounterBook()
    count(book, said(**CODEX, **LIMITS))
    return client(database, book=book, watch=WatchedByHand(), clock=lambda: NOW + 1)


def as_grafana_asks(target: dict[str, Any]) -> dict[str, str]:
    """``${__from:date:iso}`` is a moment with milliseconds, in UTC."""
    hour = timedelta(hours=1)
    moments = {"__from": NOON - hour, "__to": NOON + hour}

    def written(match: re.Match[str]) -> str:
        moment = moments[match[1]].astimezone(UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")

    asked = target["url_options"]["params"]
    return {each["key"]: re.sub(r"\$\{(\w+):date:iso\}", written, each["value"]) for each in asked}


@pytest.mark.parametrize(("title", "kind", "target"), ASKED, ids=[title for title, _, _ in ASKED])
def test_every_question_is_answered_and_every_column_is_there(
    title: str, kind: str, target: dict[str, Any], api: TestClient
) -> None:
    answer = api.get(target["url"], params=as_grafana_asks(target))
    assert answer.status_code == 200, answer.text
    rows = jq.compile(target["root_selector"]).input(answer.json()).all()
    assert rows, title
    for column in target["columns"]:
        found = [row[column["selector"]] for row in rows if row[column["selector"]] is not None]
        assert found, f"{title}: nothing in {column['text']}"
        assert all(_is(column["type"], value) for value in found), (title, column, found)
    assert all(not isinstance(value, list | dict) for row in rows for value in row.values())
    if kind == "timeseries":
        assert target["columns"][0]["type"] == "timestamp"
        assert {column["type"] for column in target["columns"][1:]} == {"number"}


def _is(kind: str, value: Any) -> bool:
    if kind == "number":
        return isinstance(value, int | float)
    return isinstance(value, str) and (kind == "string" or datetime.fromisoformat(value).tzinfo is not None)


def test_a_budget_for_each_value_has_a_row_for_each() -> None:
    (target,) = (target for title, _, target in ASKED if title == "Budgets")
    document = {"budgets": [{"name": "team", "per": "day", "limit": 1, "unit": "USD",
                             "standings": [{"value": "anna"}, {"value": "ben"}]}]}  # fmt: skip
    rows = jq.compile(target["root_selector"]).input(document).all()
    assert [(row["budget"], row["of"]) for row in rows] == [("team", "anna"), ("team", "ben")]
