"""The threat model is of this version, and every test that it rests on is there."""

import ast
import re
from pathlib import Path
from typing import Final

from semver import Version

from llm_metrics_proxy.metrics_service import APP_VERSION

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 25
    for file, name in named:
        functions = {node.name for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body
                     if isinstance(node, ast.FunctionDef)}  # fmt: skip
        assert name in functions, f"{file} has no {name}"


def test_every_row_names_a_boundary_and_a_test() -> None:
    section = PAGE.split("### Attackers")[1].split("### What is not defended")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 15
    for row in rows:
        who, _, shown = (cell.strip() for cell in row.strip("|").split("|"))
        assert re.match("[①②③④⑤⑥]", who), row
        assert "::" in shown, row
    assert set("①②③④⑤⑥") <= set(section)


def test_it_was_signed_off_for_this_version() -> None:
    signed = re.search(r"Signed off for version (\d+)\.(\d+) on \d{4}-\d\d-\d\d", PAGE)
    assert signed is not None
    current = Version.parse(APP_VERSION)
    assert (int(signed[1]), int(signed[2])) >= (current.major, current.minor), "go through the threat model again"
