"""What is watched, over the API and for Prometheus."""

from pathlib import Path

import pytest

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.storage.alert_store import AlertStore
from llm_metrics_proxy.telemetry import TelemetryStatus
from llm_metrics_proxy.watch.rules import SloRule
from llm_metrics_proxy.watch.watcher import Rules, Watcher
from tests.analytics.database import Database
from tests.api.service import client
from tests.api.test_prometheus import only, scrape
from tests.watch.conftest import Site
from tests.watch.test_rules import a_rule


@pytest.fixture
def watcher(tmp_path: Path) -> Watcher:
    site = Site(tmp_path / "watched.db")
    for second in range(4):
        site.add(second, good=second != 0)
    site.now = 10.0
    alert, slo = a_rule(threshold=0.2, webhook="http://h/secret"), SloRule(name="s", objective=0.5, window_s=3600)
    unknown = SloRule(name="unknown", objective=0.9, window_s=3600)
    memory = AlertStore(site.path)
    made = Watcher(site.records, lambda: memory, Rules((slo, unknown), (alert,)), clock=site.clock)
    made.watch_slo(slo)
    made.watch_alert(alert, memory)
    memory.close()
    site.close()
    return made


def test_objectives_and_alerts_are_shown_and_no_address(database: Database, watcher: Watcher) -> None:
    api = client(database, watch=watcher)
    known, unknown = api.get("/api/v1/slos").json()["slos"]
    assert (known["good_ratio"], known["requests"], known["met"], known["error_budget_left"]) == (0.75, 4, True, 0.5)
    assert (unknown["good_ratio"], unknown["met"], unknown["measured_at"]) == (None, None, None)
    answer = api.get("/api/v1/alerts")
    (alert,) = answer.json()["alerts"]
    assert (alert["phase"], alert["value"], alert["n"], alert["webhook"]) == ("firing", 0.25, 4, "http://h/…")
    assert "secret" not in answer.text


def test_without_rules_both_are_empty_and_refuse_what_they_do_not_know(database: Database) -> None:
    api = client(database)
    assert api.get("/api/v1/slos").json()["slos"] == api.get("/api/v1/alerts").json()["alerts"] == []
    assert api.get("/api/v1/slos?model=m").status_code == 422


def test_prometheus_gets_what_is_known_and_no_number_for_what_is_not(watcher: Watcher) -> None:
    values, types = scrape(CounterBook(), watch=watcher, telemetry=TelemetryStatus(7, 3, 0, 5))
    assert only(values, "llm_proxy_slo_good_ratio", slo="s") == 0.75
    assert only(values, "llm_proxy_slo_objective_ratio", slo="unknown") == 0.9
    assert ("llm_proxy_slo_good_ratio", frozenset({("slo", "unknown")})) not in values
    assert only(values, "llm_proxy_alert_firing", alert="a") == 1
    assert only(values, "llm_proxy_alert_messages_waiting", alert="a") == 0
    assert only(values, "llm_proxy_otlp_spans_total") == 7
    assert only(values, "llm_proxy_otlp_log_records_total") == 5
    assert only(values, "llm_proxy_otlp_dropped_total") == 3
    assert types["llm_proxy_slo_burn_rate"] == "gauge"
