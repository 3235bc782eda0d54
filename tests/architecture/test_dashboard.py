"""Rules of the dashboard's sources that neither its compiler nor its own tests hold."""

import re
from pathlib import Path
from typing import Final

import pytest
from tools import dashboard_columns

from llm_metrics_proxy.api.site import VIEW_PATHS

ROOT: Final = Path(__file__).parents[2] / "dashboard"
MOST_LINES: Final = 250
_GENERATED: Final = {"schema.d.ts"}
SOURCES: Final = sorted(path for path in (ROOT / "src").rglob("*.*") if path.suffix in {".ts", ".tsx", ".css"})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name in _GENERATED:
        return
    assert text.count("\n") <= MOST_LINES
    if not path.name.endswith(".test.ts") and path.name != "main.tsx":
        assert text.startswith(("/** ", "/**\n", "/* ")), "the first lines say what is in here"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_from_outside_becomes_markup_or_code(path: Path) -> None:
    """React escapes what it draws; these are the ways around that, and around the Content-Security-Policy."""
    text = path.read_text(encoding="utf-8")
    around = r"dangerouslySetInnerHTML|\.innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert re.search(around, text) is None
    assert re.search(r"""style=["'`]|renderMode: ["']html""", text) is None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_host_is_named(path: Path) -> None:
    if path.name.endswith(".test.ts"):
        return
    other = r"(?<!xmlns=.)(https?|wss?):?//(?!127\.0\.0\.1:|host:port)[a-z0-9]"  # the machine itself is no other host
    assert re.search(other, path.read_text(encoding="utf-8")) is None


def test_the_columns_are_those_of_the_program() -> None:
    path = ROOT / "src" / "api" / "columns.ts"
    assert path.read_text(encoding="utf-8") == dashboard_columns.module(), "run: make dashboard-types"


def test_every_view_is_served_at_its_address() -> None:
    table = (ROOT / "src" / "app" / "views.ts").read_text(encoding="utf-8")
    assert re.findall(r'path: "([^"]+)"', table) == list(VIEW_PATHS)
