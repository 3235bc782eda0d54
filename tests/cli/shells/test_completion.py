"""Completion in the real shells, and that what packages bring is what the verbs say. `sh tools/install-shells.sh`."""

import subprocess
from pathlib import Path

import pytest
from tools import shell_files
from typer.main import get_command

from llm_metrics_proxy.cli.app import application
from llm_metrics_proxy.cli.completion import Shell
from llm_metrics_proxy.cli.shells.tree import CommandLine, Takes, first_sentence
from tests.cli.conftest import Cli
from tests.pty_session import Terminal

FOLDER = shell_files.FOLDER
BASH, ZSH, FISH = (FOLDER / shell_files.NAMES[shell] for shell in (Shell.BASH, Shell.ZSH, Shell.FISH))


def test_what_packages_bring_is_what_the_verbs_say() -> None:
    for name, text in shell_files.contents().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run: .venv/bin/python -m tools.shell_files"


def test_the_verb_prints_the_same(cli: Cli) -> None:
    assert cli("completion", "fish").out == FISH.read_text(encoding="utf-8")
    assert cli("completion", "tcsh").code == 2


def in_bash(*words: str) -> list[str]:
    """What bash offers for the last word, taken apart as bash does it (at =)."""
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"source '{BASH}'; COMP_WORDS=(llm-metrics-proxy {quoted}); COMP_CWORD={len(words)}; "
        "_llm_metrics_proxy; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [word for word in done.stdout.splitlines() if word]


def test_bash_knows_verbs_flags_and_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"serve", "migrate", "config", "completion"} <= set(in_bash(""))
    assert in_bash("mig") == ["migrate"]
    assert {"plan", "run", "undo"} <= set(in_bash("migrate", ""))
    assert in_bash("serve", "--log-") == ["--log-level", "--log-format"]
    assert in_bash("serve", "--log-level", "") == ["debug", "info", "warning", "error"]
    assert in_bash("serve", "--log-level", "=", "w") == ["warning"]
    assert in_bash("serve", "--port", "") == []
    assert in_bash("export", "--format", "") == ["jsonl", "csv", "parquet"]
    assert in_bash("report", "--format", "") == ["html", "md", "json"]
    assert in_bash("config", "check", "--metrics-h") == ["--metrics-host"]
    (tmp_path / "a file.toml").touch()
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert sorted(in_bash("serve", "--config", "a")) == ["a file.toml", "a folder"]
    assert in_bash("serve", "--data-dir", "a") == ["a folder"]
    assert sorted(in_bash("upgrade-check", "a")) == ["a file.toml", "a folder"]
    assert in_bash("upgrade-check", "--js") == ["--json"]
    assert {"bash", "zsh", "fish"} < set(in_bash("completion", ""))
    assert in_bash("completion", "f") == ["fish"]
    assert in_bash("backup", "verify", "a") == []


def test_bash_completes_when_a_person_presses_tab(tmp_path: Path) -> None:
    with Terminal(["bash", "--norc", "--noprofile", "-i"], tmp_path) as terminal:
        terminal.type(f"source '{BASH}'; echo re''ady\n")
        terminal.wait_for("ready")
        terminal.type("llmmp serve --log-le\t")
        terminal.wait_for("--log-level ")
        terminal.type("warn\t")
        terminal.wait_for("--log-level warning ")
        terminal.type("\x03")


def test_zsh_completes_when_a_person_presses_tab(tmp_path: Path) -> None:
    set_up = (
        f"fpath=('{FOLDER}' $fpath); autoload -U compinit; compinit -u -d '{tmp_path}/dump'; PS1='> '; echo re''ady\n"
    )
    with Terminal(["zsh", "-f", "-i"], tmp_path) as terminal:
        terminal.type(set_up)
        terminal.wait_for("ready")
        terminal.type("llm-metrics-proxy migr\t")
        terminal.wait_for("llm-metrics-proxy migrate")
        terminal.type("und\t")
        terminal.wait_for("undo")
        terminal.type("\x15llm-metrics-proxy serve --log-format \t\t")
        terminal.wait_for("json")
        terminal.wait_for("text")
        terminal.type("\x15llm-metrics-proxy serve --log-form\t")
        terminal.wait_for("--log-format\x1b[1m=")
        terminal.type("\x15llmmp config check --wor\t")
        terminal.wait_for("--workers\x1b[1m=")
        (tmp_path / "other.whl").touch()
        terminal.type("\x15llmmp upgrade-check oth\t")
        terminal.wait_for("upgrade-check other.whl")
        terminal.type("\x15llmmp completion fi\t")
        terminal.wait_for("completion fish")
        terminal.type("\x15\x04")


def test_zsh_takes_the_script_by_eval_too(tmp_path: Path) -> None:
    program = (
        f"autoload -U compinit; compinit -u -d '{tmp_path}/dump'; eval \"$(<'{ZSH}')\"; "
        "print $_comps[llm-metrics-proxy] $+functions[_llm-metrics-proxy-migrate-undo]"
    )
    done = subprocess.run(["zsh", "-f", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("_llm-metrics-proxy 1\n", "")


def in_fish(line: str, folder: Path) -> dict[str, str]:
    """What fish offers, with its descriptions."""
    command = ["fish", "--no-config", "-c", f"source '{FISH}'; complete -C '{line}'"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stderr == ""
    return {word: text for word, _, text in (row.partition("\t") for row in done.stdout.splitlines())}


def test_fish_knows_verbs_flags_values_and_what_they_mean(tmp_path: Path) -> None:
    assert in_fish("llm-metrics-proxy migrate un", tmp_path).keys() == {"undo"}
    verbs = in_fish("llm-metrics-proxy ", tmp_path)
    assert verbs["doctor"].startswith("Check configuration")
    assert "undo" not in verbs
    assert in_fish("llm-metrics-proxy serve --log-level ", tmp_path).keys() == {"debug", "info", "warning", "error"}
    assert "--demo-traffic" not in in_fish("llm-metrics-proxy proxy --de", tmp_path)
    assert "--demo-traffic" in in_fish("llmmp serve --de", tmp_path)
    (tmp_path / "my.toml").touch()
    assert "my.toml" in in_fish("llm-metrics-proxy serve --config my", tmp_path)
    assert "my.toml" in in_fish("llm-metrics-proxy upgrade-check my", tmp_path)
    assert in_fish("llm-metrics-proxy completion ", tmp_path).keys() == {"bash", "zsh", "fish"}
    assert in_fish("llm-metrics-proxy backup verify my", tmp_path) == {}


def test_every_verb_and_flag_is_in_the_tree_with_words() -> None:
    line = CommandLine(get_command(application()))
    verbs = {verb.path: verb for verb in line.root.walk()}
    assert line.takes_all(verbs["serve",])
    assert not line.takes_all(verbs["summary",])
    for verb in verbs.values():
        assert verb.summary, verb.path
        assert all(flag.help for flag in verb.flags), verb.path
    (level,) = (flag for flag in line.settings if flag.setting == "log_level")
    assert (level.takes, level.choices) == (Takes.CHOICE, ("debug", "info", "warning", "error"))
    demo_port = next(flag for flag in verbs["demo",].flags if flag.names == ("--port",))
    assert demo_port.setting is None, "a flag of its own"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One"),
        ("The API. More", "The API"),
        ("A `b` [c](d.md); e", "A b c"),
        ("Size. [default: 1]", "Size"),
    ],
)
def test_the_first_sentence_is_what_a_list_shows(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
