"""``doctor`` about objectives and alerts."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.cli.watch_checks import PATIENCE_S, alerts, objectives
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.watch import AlertTable, SloTable
from llm_metrics_proxy.storage.alert_store import AlertStore
from llm_metrics_proxy.storage.base import StoredAlert
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.browser.records import a_day, write


def settings(folder: Path) -> Settings:
    told = AlertTable(name="told", metric="error_rate", threshold=0.1, webhook="http://h/secret")
    return Settings(data_dir=folder, alerts=[told, told.model_copy(update={"name": "shown", "webhook": None})])


def test_before_the_first_start_there_is_nothing_wrong(tmp_path: Path) -> None:
    found = alerts(settings(tmp_path))
    assert (found.status, found.check) == (CheckStatus.OK, "alerts")
    assert found.found == "2 in the settings (shown: without a webhook, only shown)"


def test_what_fires_and_what_nobody_took_is_shown(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "metrics.db").close()
    store, now = AlertStore(tmp_path / "metrics.db"), time.time()
    store.keep({"told": StoredAlert("firing", now, None)}, {"id": ("told", "{}")}, now, set())
    found = alerts(settings(tmp_path))
    assert found.status is CheckStatus.WARNING
    assert found.found.endswith("; firing: told; not taken yet: told: 1 (not tried yet)")
    store.failed(store.deliveries()[0], "it answered with status 500")
    store.keep({}, {"old": ("told", "{}")}, now - PATIENCE_S - 60, set())
    found = alerts(settings(tmp_path))
    assert found.status is CheckStatus.WARNING
    assert "told: 2 (it answered with status 500)" in found.found
    assert "secret" not in found.found + found.advice
    store.close()


def test_an_objective_that_is_missed_is_not_well(tmp_path: Path) -> None:
    assert objectives(Settings(data_dir=tmp_path)).found == "none in the settings"
    tables: tuple[dict[str, Any], ...] = (
        {"name": "met", "objective": 0.5},
        {"name": "strict", "objective": 0.9999},
        {"name": "unasked", "objective": 0.9, "model": "none"},
        {"name": "fast", "objective": 0.9, "require": "time_to_first_token_ms < 1"},
    )
    slos = [SloTable.model_validate({"window": "2d", **table}) for table in tables]
    watched = Settings(data_dir=tmp_path, slos=slos)
    assert objectives(watched).status is CheckStatus.OK  # before the first start
    write(tmp_path / "metrics.db", a_day(200, datetime.now(UTC)))
    found = objectives(watched)
    assert found.status is CheckStatus.WARNING
    assert "without a request in their window: unasked; missed: strict (9" in found.found
    assert ", fast (0.00% of 90.00%)" in found.found
    assert "met (" not in found.found
    assert objectives(Settings(data_dir=tmp_path, slos=slos[:1])).status is CheckStatus.OK
