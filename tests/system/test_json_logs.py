"""``log_format = json``: everything that the whole product writes, on both outputs, is one JSON object per line."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.child_processes import child
from tests.waiting import wait_until

pytestmark = pytest.mark.system
PROGRAM = str(Path(sys.executable).with_name("llm-metrics-proxy"))
PORTS = ("--port", "0", "--metrics-port", "0", "--workers", "1")


def lines(log: Path) -> Iterator[dict[str, Any]]:
    """Raises where a line is no JSON object. The last line may be in the making."""
    for line in log.read_text(encoding="utf-8").split("\n")[:-1]:
        found = json.loads(line)
        assert isinstance(found, dict), line
        yield found


def test_from_the_start_over_a_reload_and_a_crash_to_the_end(tmp_path: Path) -> None:
    log, file = tmp_path / "log", tmp_path / "c.toml"
    file.write_text('backend = "demo"\nlog_format = "json"\nlog_level = "debug"\n')
    command = [PROGRAM, "serve", *PORTS, "--data-dir", str(tmp_path / "data"), "--config", str(file)]
    with child(command, log) as process:

        def said(words: str, of: str) -> bool:
            return any(words in line["message"] and line["process"] == of for line in lines(log))

        def until(words: str, of: str) -> None:
            wait_until(lambda: said(words, of), f"{of}: {words}", process=process, log=log)

        until("", "worker-0")
        until("", "metrics")
        (start,) = (line for line in lines(log) if "proxy_url" in line)
        assert start["process"] == "serve"
        assert start["proxy_url"].startswith("http://127.0.0.1:")
        assert start["simulated"] is True
        file.write_text('backend = "demo"\nlog_format = "json"\nport = "x"\nidle_timeout_s = -1\n')
        process.send_signal(signal.SIGHUP)
        until("idle_timeout_s = -1", "reload")
        until("the new settings are refused", "supervisor")
        worker = next(
            one for one in psutil.Process(process.pid).children() if "llm_metrics_proxy.proxy" in one.cmdline()
        )
        worker.kill()
        until("killed by SIGKILL", "supervisor")
    assert process.returncode == 0
    assert {line["process"] for line in lines(log)} >= {"serve", "supervisor", "worker-0", "metrics", "reload"}


def test_a_start_that_is_refused_says_so_in_json(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with child([PROGRAM, "serve", *PORTS, "--log-format", "json", "--idle-timeout-s", "-1"], log) as process:
        assert process.wait(60) == 2
    (line,) = lines(log)
    assert (line["level"], line["process"]) == ("error", "serve")
    assert line["message"].startswith("idle_timeout_s = '-1' (flag --idle-timeout-s): must be")
