"""``config check``: every fault of file, environment and flags at once, each with its place, and nothing started."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

WRONG = """\
port = true
data-dir = "x"

[[backends]]
name = "a"
url = "http://127.0.0.1:9"
api_key_env = "NOT_SET_ANYWHERE"

[[backends]]
name = "b"
url = "ftp://x"

[[prices]]
model = "m"
provider = "nobody"
"""


def test_all_is_well_without_a_file(cli: Cli) -> None:
    ran = cli("config", "check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "ok: 0 settings given (no file), the others at their defaults\n"


def test_every_fault_of_every_layer_is_told_at_once_with_its_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text(WRONG)
    monkeypatch.setenv("LLM_METRICS_PROXY_LOG_LEVL", "info")
    ran = cli("config", "check", "--config", "c.toml", "--workers", "0")
    assert ran.code == 2
    starts = [line.split(": ")[0] for line in ran.out.splitlines()]
    assert starts == [
        "c.toml:2",
        "LLM_METRICS_PROXY_LOG_LEVL (environment)",
        "c.toml:1",
        "c.toml:11",
        "workers = '0' (flag --workers)",
        "5 to correct",
    ]
    assert "c.toml:1: port = true: must be a whole number from 0 to 65535" in ran.out
    assert "c.toml:11: backends[1].url = 'ftp://x': must be" in ran.out


def test_a_sound_table_is_looked_at_although_another_setting_is_wrong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('port = -1\n[[backends]]\nname="a"\nurl="http://h"\napi_key_env="NOT_SET"\n')
    lines = cli("config", "check", "--config", "c.toml").out.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == ["c.toml:1", "c.toml:2"]
    assert "NOT_SET" in lines[1]


def test_what_only_a_start_would_show_is_told_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[prices]]\nmodel = "m"\nprovider = "nobody"\n')
    ran = cli("config", "check", "--config", "c.toml", "--store", "clickhouse://u@h/db", "--store-password-file", "no")
    assert ran.code == 2
    assert "genai-prices knows no such one" in ran.out
    assert "store_password_file = 'no': cannot be read" in ran.out


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("budgets = [1]", "budgets[0]: is a number, not a table: write [[budgets]] and its keys below that"),
        ('tokens = ["sesame"]', "tokens[0]: is text, not a table: write [[tokens]] and its keys below that"),
        ("backends = [[], true]", "backends[1]: is true or false, not a table: write [[backends]]"),
        ('[tokens]\nname = "a"\ntoken = "sesame"', "tokens = a table: must be tables with name, a token, and"),
        ('budgets = "sesame"', "budgets = text: must be tables with at least name, and usd or tokens, each under its"),
    ],
)
def test_what_is_no_list_of_tables_is_named_without_itself(cli: Cli, tmp_path: Path, toml: str, told: str) -> None:
    (tmp_path / "c.toml").write_text(toml)
    ran = cli("config", "check", "--config", "c.toml")
    assert (ran.code, f"c.toml:1: {told}" in ran.out) == (2, True), ran.out
    assert "sesame" not in ran.out


def test_a_file_that_cannot_be_used_is_named_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    for name, why in (
        ("missing.toml", "cannot be read: No such file or directory"),
        (".", "is no regular file: name one in TOML"),
        ("deep.toml", "is nested too deep: settings are flat"),
    ):
        ran = cli("config", "check", "--config", name)
        assert (ran.code, ran.out.splitlines()[0]) == (2, f"{name}: {why}")


def test_a_file_that_is_no_toml_has_its_line_too_and_hides_no_other_fault(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("port = 1\nhost = \n")
    document = json.loads(cli("config", "check", "--json", "--config", "c.toml", "--port", "x").out)
    assert document["ok"] is False
    first, second = document["problems"]
    assert (first["file"], first["line"], first["severity"]) == ("c.toml", 2, "error")
    assert first["message"].startswith("is not TOML")
    assert second == {
        "severity": "error",
        "setting": "port",
        "file": None,
        "line": None,
        "message": "port = 'x' (flag --port): must be a whole number from 0 to 65535",
    }


def test_secrets_that_others_can_read_are_warned_of_and_never_shown(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        'metrics_token = "hunter2hunter2"\n[[backends]]\nname = "a"\nurl = "http://h"\n'
        'add_headers = {Authorization = "hunter2"}\n'
    )
    file.chmod(0o644)
    ran = cli("config", "check", "--config", "c.toml", "--otlp-headers", "authorization=hunter2")
    assert ran.code == 0
    assert "warning: otlp_headers (flag --otlp-headers): every user of this machine" in ran.out
    assert "c.toml: warning: holds metrics_token, backends.add_headers, and others may read it: chmod 600" in ran.out
    assert "hunter2" not in ran.out
    file.chmod(0o600)
    ran = cli("config", "check", "--config", "c.toml")
    assert "warning" not in ran.out
    assert ran.out.startswith("ok: 2 settings given (c.toml)")
