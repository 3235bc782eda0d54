"""What becomes of mistakes: one clear line, an exit code, never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.cli import app, main
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.cli.conftest import Cli, make_record

MAKES_IT = "`llm-metrics-proxy serve` makes it; another is named with --db-path"
PROGRAM = [sys.executable, "-c", "from llm_metrics_proxy.cli import main; main()"]


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        (
            ["serve", "--prot", "1"],
            2,
            ["No such option: --prot (Possible options: --host, --port, --probe-path) (see llm-metrics-proxy --help)"],
        ),
        (["frobnicate"], 2, ["No such command 'frobnicate'. (see llm-metrics-proxy --help)"]),
        (
            ["serve", "--port", "x", "--workers", "0"],
            2,
            [
                "port = 'x' (flag --port): must be a whole number from 0 to 65535",
                "workers = '0' (flag --workers): must be auto or a whole number from 1 to 256",
            ],
        ),
        (["serve", "--config", "none.toml"], 2, ["none.toml (--config): cannot be read: No such file or directory"]),
        (
            ["requests"],
            1,
            ["no database at data/metrics.db (default): " + MAKES_IT],
        ),
    ],
)
def test_mistakes_are_told_in_one_line_each(cli: Cli, arguments: list[str], code: int, lines: list[str]) -> None:
    ran = cli(*arguments)
    assert ran.code == code
    assert ran.out == ""
    assert ran.err.splitlines() == [f"llm-metrics-proxy: {line}" for line in lines]


def test_help_lists_every_verb(cli: Cli) -> None:
    out = cli("--help").out
    for verb in (
        "serve",
        "proxy",
        "metrics",
        "demo",
        "requests",
        "summary",
        "query",
        "doctor",
        "version",
        "migrate",
        "backup",
        "store",
    ):
        assert f" {verb} " in out


def test_without_a_verb_help_is_shown(cli: Cli) -> None:
    assert "Usage" in cli().out


def test_a_keyboard_interrupt_ends_quietly(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_metrics_proxy.cli.version.versions", interrupt)
    assert cli("version") == (app.INTERRUPTED, "", "")


def test_main_exits_with_the_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["nothing-like-this"])
    assert caught.value.code == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.system
def test_a_reader_that_leaves_ends_a_listing_quietly(store: SqliteStore, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "requests", "--follow", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b'{"arrival":1')
    process.stdout.close()
    store.append(IngestBatch(rows=[to_row(make_record(4))]))
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(10) == -signal.SIGPIPE
