"""``top`` as people and scripts run it: in a terminal of its own, on a real database and a real API."""

import itertools
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llm_metrics_proxy.analytics.conditions import parse_condition
from llm_metrics_proxy.analytics.filters import RequestFilter, stored_time
from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.cli.top import _parameters
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import Database
from tests.api.service import ports
from tests.api.test_server import running
from tests.cli.conftest import Cli, make_record
from tests.pty_session import Terminal, output_of

_numbers = itertools.count(10)
PROGRAM = str(Path(sys.executable).with_name("llm-metrics-proxy"))


def add_now(store: SqliteStore, *models: str) -> None:
    now = stored_time(datetime.now(UTC))
    rows = [
        to_row(make_record(number, model=name, timestamp=now)) for name, number in zip(models, _numbers, strict=False)
    ]
    store.append(IngestBatch(rows=rows))


def test_once_as_json_is_for_scripts(cli: Cli, store: SqliteStore) -> None:
    add_now(store, "llama", "llama", "qwen")
    ran = cli("top", "--once", "--json")
    assert (ran.code, ran.err) == (0, "")
    shown = json.loads(ran.out)
    assert [(line["model"], line["requests"]) for line in shown["models"]] == [("llama", 2), ("qwen", 1)]
    assert shown["models"][0]["time_to_first_token_ms"] == {"n": 2, "p50": 120.0, "p95": 120.0}
    assert (shown["requests"], shown["open_requests"], shown["source"]) == (3, 0, "data/metrics.db")
    assert len(shown["newest"]) == 3
    assert json.loads(cli("top", "--once", "--json", "--model", "qwen").out)["requests"] == 1


def test_once_is_one_picture_without_colours_in_a_pipe(cli: Cli, store: SqliteStore) -> None:
    add_now(store, "llama")
    out = cli("top", "--once").out
    assert "requests/s" in out
    assert "llama" in out
    assert "\x1b" not in out


def test_without_a_terminal_it_says_what_there_is_for_scripts(cli: Cli, store: SqliteStore) -> None:
    ran = cli("top")
    assert (ran.code, ran.out) == (2, "")
    assert "for scripts there are --once and --json" in ran.err


def test_once_from_a_running_api(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    database = Database(tmp_path / "api")
    add_now(database.store, "llama", "qwen")
    with running(create_app(ports(database, token="secret-token"))) as (port, _, _):
        url = f"http://127.0.0.1:{port}"
        ran = cli("top", "--once", "--json", "--url", url, "--metrics-token", "secret-token", "--model", "qwen")
        assert ran.code == 0
        assert (json.loads(ran.out)["requests"], json.loads(ran.out)["source"]) == (1, url)
        refused = cli("top", "--once", "--url", url)
        assert refused.code == 1
        assert "this needs the header Authorization" in refused.err
    database.close()


def test_a_filter_reaches_the_api_as_its_parameters() -> None:
    slow = parse_condition("response_time_ms>5000")
    chosen = RequestFilter(
        start=datetime(2026, 1, 1, tzinfo=UTC), model="a&b,c", success=False, status_code=503, where=(slow,)
    )
    assert _parameters(chosen) == {
        "start": "2026-01-01T00:00:00.000000Z", "model": "a&b\\,c", "success": "false", "status_code": "503",
        "where": ["response_time_ms>5000"],
    }  # fmt: skip


@pytest.mark.system
@pytest.mark.parametrize("leave", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_in_a_terminal_it_follows_until_told_to_end_and_leaves_the_terminal_as_it_was(
    store: SqliteStore, tmp_path: Path, leave: str
) -> None:
    add_now(store, "first-model")
    with Terminal([PROGRAM, "top", "--interval", "0.1"], tmp_path) as terminal:
        terminal.wait_for("first-model")
        add_now(store, "second-model")
        terminal.wait_for("second-model")
        assert terminal.settings() != terminal.before
        terminal.type("x")  # no key of ours
        terminal.type(leave)
        assert terminal.wait() == 0
        assert terminal.settings() == terminal.before
        assert terminal.said.rstrip().endswith(("\x1b[?1049l\x1b[?25h", "\x1b[?25h\x1b[?1049l", "\x1b[?25h"))
        assert "Traceback" not in terminal.said


@pytest.mark.system
def test_sigterm_leaves_the_terminal_as_it_was_too(store: SqliteStore, tmp_path: Path) -> None:
    with Terminal([PROGRAM, "top", "--interval", "0.1"], tmp_path) as terminal:
        terminal.wait_for("requests/s")
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.wait() == 128 + signal.SIGTERM
        assert terminal.settings() == terminal.before
        assert "\x1b[?1049l" in terminal.said


@pytest.mark.system
def test_trouble_in_a_terminal_is_one_line_before_anything_is_drawn(tmp_path: Path) -> None:
    code, said = output_of([PROGRAM, "top", "--url", "http://127.0.0.1:1"], tmp_path)
    assert code == 1
    assert "http://127.0.0.1:1 does not answer" in said
    assert "\x1b[?1049h" not in said
