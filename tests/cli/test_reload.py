"""``reload``: told to a product that runs, heard, and answered: what counts now, what waits, what is refused."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.supervisor import ReloadAnswer, running
from llm_metrics_proxy.supervisor.state_file import StateFile
from tests.cli.conftest import Cli
from tests.cli.test_serve import serving
from tests.waiting import wait_until

PROGRAM = str(Path(sys.executable).with_name("llm-metrics-proxy"))
OLD, NEW = "old-token-of-readers", "new-token-of-readers"


def ask(folder: Path, *flags: str) -> "subprocess.CompletedProcess[str]":
    command = [PROGRAM, "reload", "--data-dir", "data", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)


def status_of(url: str, token: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/api/v1/settings", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.system
def test_what_counts_now_what_waits_and_what_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    head = 'backend = "http://127.0.0.1:9"\n'
    file.write_text(f'{head}metrics_token = "{OLD}"\n')
    with serving(tmp_path, "--workers", "1", "--config", str(file)) as (process, log, hosts):
        metrics = hosts["Metrics"]
        wait_until(lambda: status_of(metrics, OLD) == 200, "the API", process=process, log=log)

        file.write_text(
            f'{head}metrics_token = "{NEW}"\nlog_level = "debug"\nretention_days = 9\njournal_fsync = "never"\n'
        )
        done = ask(tmp_path, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["ok"] is True
        (told,) = document["reloaded"]
        assert (told["role"], told["pid"], told["problems"]) == ("serve", process.pid, [])
        assert told["changed"] == ["metrics_token", "retention_days", "log_level"]
        assert told["needs_restart"] == ["journal_fsync"]
        wait_until(lambda: status_of(metrics, NEW) == 200, "the new token", process=process, log=log)
        assert status_of(metrics, OLD) == 401
        wait_until(lambda: " debug metrics: " in log.read_text(), "the new level", process=process, log=log)
        assert NEW not in (tmp_path / "data" / "serve.state").read_text()

        file.write_text(f'{head}idle_timeout_s = -1\nmetrics_token = "{NEW}"\n')
        done = ask(tmp_path)
        assert done.returncode == 2
        assert "refuses the settings; the old ones stay" in done.stdout
        assert f"idle_timeout_s = -1 ({file} line 2, key idle_timeout_s): must be" in done.stdout
        assert status_of(metrics, NEW) == 200

        file.write_text(head)
        done = ask(tmp_path)
        assert "Only a restart makes them count: metrics_token, journal_fsync" not in done.stdout
        assert "Only a restart makes them count: metrics_token" in done.stdout
        assert status_of(metrics, NEW) == 200, "what protects is not taken away while it runs"
    done = ask(tmp_path)
    assert done.returncode == 1
    assert "nothing that reads settings runs with the folder" in done.stderr


def test_where_nothing_runs_it_says_so(cli: Cli) -> None:
    ran = cli("reload")
    assert ran.code == 1
    assert "name it by --data-dir" in ran.err


def test_a_process_that_is_no_supervisor_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    """Of another container, whose number is a stranger's here."""
    (tmp_path / "data").mkdir()
    script = (
        "import sys, time; from pathlib import Path; from llm_metrics_proxy.supervisor.state_file import StateFile; "
        "state = StateFile(Path('data/serve.state')); print('has it', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"has it\n"
        ran = cli("reload")
        assert (ran.code, stranger.poll()) == (1, None)
        assert f"process {stranger.pid} cannot be told: it does not run here" in ran.err
        stranger.kill()


def test_the_state_file_belongs_to_one_and_tells_no_options(tmp_path: Path) -> None:
    path = tmp_path / "serve.state"
    assert running(path) is None
    state = StateFile(path)
    state.reloaded(ReloadAnswer(options={"metrics": "secret"}, changed=["port"] * 200))
    state.reloaded(ReloadAnswer(options={"metrics": "secret"}, problems=["wrong"]))
    seen: Any = running(path)
    assert (seen.reloads, seen.last.problems, seen.last.options) == (2, ["wrong"], {})
    assert "secret" not in path.read_text()
    with pytest.raises(BlockingIOError):
        StateFile(path)
