"""``init``: three questions or none, a file that the program takes, a unit, and nothing replaced unasked."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llm_metrics_proxy.cli import init as verb
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.toml_file import toml_file
from llm_metrics_proxy.processes import discovery
from llm_metrics_proxy.processes.systemd_unit import FILE_NAME, systemd_unit
from tests.cli.conftest import Cli
from tests.pty_session import Terminal
from tests.test_contrib import UNIT


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CANDIDATES", ())


@pytest.mark.usefixtures("lonely")
def test_with_yes_flags_and_defaults_decide_and_nothing_is_asked(cli: Cli, tmp_path: Path) -> None:
    ran = cli("init", "--yes", "--backend", "http://127.0.0.1:9", "--reach", "all")
    assert (ran.code, ran.err) == (0, "")
    file = tmp_path / "llm-metrics-proxy.toml"
    settings = load({}, {}, file).settings
    assert (settings.backend, settings.host, settings.metrics_host) == ("http://127.0.0.1:9", "0.0.0.0", "0.0.0.0")
    assert settings.metrics_token is not None
    assert len(settings.metrics_token.get_secret_value()) == 32
    assert settings.metrics_token.get_secret_value() not in ran.out
    assert file.stat().st_mode & 0o777 == 0o600
    assert "does not answer as one now" in ran.out
    assert cli("config", "check", "--config", str(file)).out.startswith("ok: 4 settings given")


@pytest.mark.usefixtures("lonely")
def test_nothing_that_is_there_is_replaced_unless_told(cli: Cli, tmp_path: Path) -> None:
    file, unit = tmp_path / "llm-metrics-proxy.toml", tmp_path / FILE_NAME
    file.write_text("port = 1\n")
    ran = cli("init", "--yes")
    assert (ran.code, file.read_text()) == (1, "port = 1\n")
    assert "is there already: choose another name, or replace it with --force" in ran.err
    file.unlink()
    unit.write_text("mine")
    ran = cli("init", "--yes", "--service", "--output", "llm-metrics-proxy.toml")
    assert (ran.code, unit.read_text(), file.exists()) == (1, "mine", False), "both are looked at before one is written"
    assert cli("init", "--yes", "--service", "--output", "llm-metrics-proxy.toml", "--force").code == 0
    assert "ExecStart=" in unit.read_text()


@pytest.mark.usefixtures("lonely")
@pytest.mark.parametrize("unit", ["/proc/nope/x.service", "/proc/x.service", "file/x.service", "x" * 300])
def test_a_unit_that_cannot_be_written_leaves_no_settings_either(cli: Cli, tmp_path: Path, unit: str) -> None:
    (tmp_path / "file").touch()
    ran = cli("init", "--yes", "--service", "--unit", unit, "--output", "c.toml")
    assert ran.code == 1
    assert "cannot be written: " in ran.err
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("lonely")
def test_who_names_a_unit_gets_one(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "--yes", "--unit", "foo.service", "--output", "foo.toml").code == 0
    assert "ExecStart=" in (tmp_path / "foo.service").read_text()
    ran = cli("init", "--yes", "--no-service", "--unit", "bar.service", "--output", "bar.toml")
    assert "--unit means --service" in ran.err
    assert "which means --service" in " ".join(cli("init", "--help").out.split())
    assert ran.code == 2
    assert "leave one of them out" in ran.err


@pytest.mark.usefixtures("lonely")
@pytest.mark.parametrize("flag", ["--output", "--unit"])
@pytest.mark.parametrize("name", ["a\nb", "a\x1b[0m", "a\udcff"])
def test_a_name_that_would_break_a_line_of_either_file_is_refused(
    cli: Cli, tmp_path: Path, flag: str, name: str
) -> None:
    files = {"--output": "c.toml", "--unit": "c.service", flag: name}
    ran = cli("init", "--yes", *(word for each in files.items() for word in each))
    assert ran.code == 2
    assert f"{flag} '" in ran.err
    assert "choose another name" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_asks_nobody(cli: Cli) -> None:
    ran = cli("init")
    assert ran.code == 2
    assert "standard input is no terminal: say --yes" in ran.err


def test_a_server_that_is_no_address_is_refused_with_words(cli: Cli, tmp_path: Path) -> None:
    ran = cli("init", "--yes", "--backend", "ftp://x")
    assert ran.code == 2
    assert "backend = 'ftp://x'" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.system
def test_three_questions_in_a_terminal(tmp_path: Path) -> None:
    program = str(Path(sys.executable).with_name("llm-metrics-proxy"))
    with Terminal([program, "init", "--output", "mine.toml"], tmp_path) as terminal:
        terminal.wait_for("1. URL of the LLM server")
        terminal.type("nonsense\n")
        terminal.wait_for("Error")
        terminal.type("http://127.0.0.1:9\n")
        terminal.wait_for("2. Who may connect?")
        terminal.type("clients\n")
        terminal.wait_for("3. Run it as a service")
        terminal.type("y\n")
        assert terminal.wait() == 0
    settings = load({}, {}, tmp_path / "mine.toml").settings
    assert (settings.backend, settings.host, settings.metrics_host) == ("http://127.0.0.1:9", "0.0.0.0", "127.0.0.1")
    unit = (tmp_path / FILE_NAME).read_text()
    assert f"ExecStart={program} serve --config {tmp_path}/mine.toml --data-dir %S/llm-metrics-proxy\n" in unit


def test_every_comment_with_a_default_means_what_it_meant_as_a_comment(tmp_path: Path) -> None:
    text = toml_file({}, [], {})
    taken = re.sub(r"^# ([a-z_]+ = [^(].*)$", r"\1", text, flags=re.MULTILINE)
    given = [line.split(" = ")[0] for line in taken.splitlines() if not line.startswith("#") and line]
    assert len(given) > 70
    (tmp_path / "c.toml").write_text(taken)
    here, default = load({}, {}, tmp_path / "c.toml").settings, load({}, {}).settings
    assert here == default
    mentioned = set(re.findall(r"^# ([a-z_]+) = ", text, re.MULTILINE)) | set(re.findall(r"# \[\[(\w+)\]\]", text))
    assert set(Settings.model_fields) <= mentioned


def test_the_unit_of_the_usual_places_is_the_one_of_contrib() -> None:
    command = Path("/opt/llm-metrics-proxy/bin/llm-metrics-proxy")
    assert systemd_unit(verb.OF_SERVICE, command, Path("/usr")) == UNIT.read_text(encoding="utf-8")


def test_odd_places_are_quoted_and_homes_are_readable() -> None:
    unit = systemd_unit(Path('/home/a b/50%"$x/c.toml'), Path("/home/me/.local/bin/llm-metrics-proxy"))
    assert '--config "/home/a b/50%%\\"$$x/c.toml" --data-dir' in unit
    assert "ProtectHome=read-only\n" in unit


@pytest.mark.parametrize("python", ["/root/.local/share/uv/python/3.13", "/home/me/python", "/run/user/1000/python"])
def test_an_interpreter_below_a_home_is_readable_too(monkeypatch: pytest.MonkeyPatch, python: str) -> None:
    command = Path("/opt/llm-metrics-proxy/bin/llm-metrics-proxy")
    monkeypatch.setattr(sys, "base_prefix", python)
    assert "ProtectHome=read-only\n" in systemd_unit(verb.OF_SERVICE, command)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
@pytest.mark.usefixtures("lonely")
def test_systemd_finds_no_fault_in_the_unit(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "--yes", "--service", "--output", str(tmp_path / "c.toml")).code == 0
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / FILE_NAME)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [line for line in done.stderr.splitlines() if FILE_NAME in line and "not executable" not in line] == []
