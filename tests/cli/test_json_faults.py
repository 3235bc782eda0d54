"""With `log_format` json, what ends a verb is one line of JSON, wherever the format was asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = {"LLM_METRICS_PROXY_LOG_FORMAT": "JSON"}
FILE = ["--config", "c.toml"]


def ran(folder: Path, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """The exit code, and what stands on standard error."""
    command = [sys.executable, "-m", "llm_metrics_proxy", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["serve", "--prot", "1"], ENVIRONMENT, 2, "No such option: --prot"),
        (["serve", "--prot", "1", "--log-format", "json"], {}, 2, "No such option: --prot"),
        (["serve", "--log-format=json", "--prot", "1"], {}, 2, "No such option: --prot"),
        (["proxy", *FILE, "--prot"], {}, 2, "No such option: --prot"),
        (["metrics", "--prot"], {"LLM_METRICS_PROXY_CONFIG": "c.toml"}, 2, "No such option: --prot"),
        (["frobnicate"], ENVIRONMENT, 2, "No such command 'frobnicate'"),
        (["summary", *FILE, "--data-dir", "none"], {}, 1, "no database at none/metrics.db"),
        (["summary", "--store", "x://"], ENVIRONMENT, 2, "store = 'x://' (flag --store)"),
        (["completion", "tcsh"], ENVIRONMENT, 2, "tcsh"),
        (["serve", "--log-format"], ENVIRONMENT, 2, "requires an argument"),
    ],
)
def test_a_fault_is_one_line_of_json(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    (tmp_path / "c.toml").write_text('log_format = "json"\n')
    ended, told = ran(tmp_path, arguments, environment)
    line = json.loads(told)
    process = "llm-metrics-proxy" if arguments[0] == "frobnicate" else arguments[0]
    assert (ended, line["level"], line["process"]) == (code, "error", process)
    assert words in line["message"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["serve", "--prot"], {}),
        (["serve", "--prot", "--log-format", "text"], ENVIRONMENT),
        (["serve", "--log-format", "yaml", "--prot"], {}),
        (["serve", "--prot", "--config", "none.toml"], {}),
    ],
)
def test_else_it_is_text(tmp_path: Path, arguments: list[str], environment: dict[str, str]) -> None:
    code, told = ran(tmp_path, arguments, environment)
    assert (code, told.startswith("llm-metrics-proxy: No such option: --prot")) == (2, True), told
