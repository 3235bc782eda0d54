"""What contributors are given works: commit hooks, the CI workflow, forms for issues, the editor's rules."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
FORMS: Final = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_commit_hooks_are_part_of_make_check() -> None:
    text = (ROOT / "Makefile").read_text()
    check = re.search(r"^check:.*$\n.*-j2 (.*)", text, re.M)
    assert check is not None
    parts = [re.search(rf"^{part}:.*?(?=^$)", text, re.M | re.S) for part in check[1].split()]
    lines = "".join(part[0] for part in parts if part)
    (local,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"  # nothing is downloaded
    for hook in local["hooks"]:
        program, *arguments = hook["entry"].split()
        command = " ".join([program.replace(".venv/bin", "$(BIN)"), *arguments]).removesuffix(" --fix")
        assert command in lines, f"the hook {hook['id']} runs {command}, which make check does not"


def release_locks() -> list[str]:
    line = re.search(r"^RELEASE_LOCKS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert line is not None
    return line[1].split()


def test_what_makes_releases_has_all_that_the_build_of_a_wheel_asks_for() -> None:
    asked = re.findall(r'^_[A-Z]+_LOCK: Final = "(.*)"$', (ROOT / "tools" / "build_hook.py").read_text(), re.M)
    assert len(asked) == 2
    assert set(asked) <= set(release_locks())


@pytest.mark.parametrize(
    "together",
    [release_locks(), [f"requirements{part}.lock" for part in ("", "-dev", "-node", "-docs")]],
    ids=["release", "venv"],
)
def test_locks_of_one_environment_name_one_version_of_each_package(together: list[str]) -> None:
    """pip refuses two in one call, and in two calls the last one wins."""
    pinned: dict[tuple[str, str], set[str]] = {}
    for lock in together:
        for name, version, marker in re.findall(r"^([\w.-]+)==(\S+)( ;.*)?", (ROOT / lock).read_text(), re.M):
            pinned.setdefault((name, marker.rstrip(" \\")), set()).add(version)
    assert len(pinned) > 10
    assert not {name: versions for name, versions in pinned.items() if len(versions) > 1}


def test_the_workflow_runs_what_a_fresh_machine_runs() -> None:
    steps = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["test"]["steps"]
    assert steps[-1]["run"].endswith(" .ci/run")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_for_issues_has_what_its_service_requires(form: Path) -> None:
    if form.stem == "config":
        assert isinstance(read(form)["blank_issues_enabled"], bool)
        return
    filled = read(form)
    assert filled["name"]
    assert filled["description"]
    names = [field["id"] for field in filled["body"]]
    assert len(set(names)) == len(names)
    for field in filled["body"]:
        assert field["type"] in {"input", "textarea"}
        assert field["attributes"]["label"]


def test_the_editor_s_rules_are_the_formatter_s() -> None:
    rules = (ROOT / ".editorconfig").read_text()
    width = re.search(r"^line-length = (\d+)$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert width is not None
    assert f"[*.py]\nindent_size = 4\nmax_line_length = {width[1]}\n" in rules
