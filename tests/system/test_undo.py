"""``migrate undo`` by another process beneath ``serve``: all of it says why it waits, and goes on after a run."""

import json
import shutil
import time
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.stack import Stack
from tests.system.house import House
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_OLD: Final = Path(__file__).parents[1] / "fixtures" / "databases" / "4.5.0.db"
_PATIENCE_S: Final = 60.0
_WATCHED_S: Final = 8.0  # several looks of the service, of alerts and of upkeep
_CONFIGURED: Final = """
watch_interval_s = 1
[[alerts]]
name = "errors"
metric = "error_rate"
threshold = 0.5
window = "1h"
webhook = "http://127.0.0.1:9/"
"""
_PATHS: Final = ("health", "api/v1/summary", "api/v1/requests", "api/v1/query?metrics=requests", "api/v1/alerts")


def answer(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as found:
            return str(found.read().decode())
    except HTTPError as error:
        return error.read().decode()


def health(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer(house.metrics_port, "health"))
    return found


def is_idle(house: House) -> bool:
    now = json.loads(answer(house.metrics_port, "api/v1/migrations/current"))
    return (now["phase"], now["problem"], now["blocks_data"]) == ("idle", None, False)


def requests_recorded(house: House, stack: Stack) -> None:
    with house.load("plain", clients=2) as load:
        wait_until(lambda: len(load.notes) >= 20, lambda: stack.log.read_text()[-2000:], _PATIENCE_S)
        load.stop()


def test_after_an_undo_everything_says_why_it_waits(house: House, tmp_path: Path) -> None:
    house.data_dir.mkdir()
    shutil.copy(_OLD, house.database)
    rules = tmp_path / "rules.toml"
    rules.write_text(_CONFIGURED, encoding="utf-8")
    by_hand = Options(backup_dir=tmp_path / "backups")
    with house.live("--config", str(rules)) as stack:
        wait_until(lambda: is_idle(house), lambda: stack.log.read_text()[-2000:], _PATIENCE_S)
        requests_recorded(house, stack)
        wait_until(lambda: house.is_settled(stack), lambda: stack.get("/health"), _PATIENCE_S)
        assert engine.undo(house.database, by_hand, migrations=MIGRATIONS).ended is Ended.UNDONE
        said = set()
        until = time.monotonic() + _WATCHED_S
        while time.monotonic() < until:
            said |= {answer(house.metrics_port, path) for path in _PATHS}
            time.sleep(0.02)
        requests_recorded(house, stack)
        waiting = health(house)
        assert "migrate run" in json.dumps(waiting), waiting
        assert engine.migrate(house.database, by_hand, migrations=MIGRATIONS).ended is Ended.DONE
        wait_until(lambda: house.is_settled(stack), lambda: stack.get("/health"), _PATIENCE_S)
        wait_until(lambda: is_idle(house), lambda: stack.log.read_text()[-2000:], _PATIENCE_S)
        log = stack.log.read_text()
    assert any('"migrating"' in text and "taken back by a person" in text for text in said)
    for text in (*said, log):
        assert "no such" not in text, text
        assert "has no column" not in text, text
    assert "Traceback" not in log, log
