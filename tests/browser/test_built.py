"""What was built: small enough for a first view, and from the API as it is."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools import openapi

ROOT: Final = Path(__file__).parents[2]
SITE: Final = ROOT / "src" / "llm_metrics_proxy" / "dashboard" / "site"
BUDGET_BYTES: Final = 350 * 1024


def first_view(site: Path) -> set[str]:
    """Files that a browser needs before the overview is drawn: by the imports of each, from the page on."""
    page = (site / "index.html").read_text(encoding="utf-8")
    waiting = set(re.findall(r"assets/[\w.-]+", page))
    waiting |= {path.relative_to(site).as_posix() for path in site.glob("assets/overview-*.js")}
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        found.add(name)
        if name.endswith(".js"):
            head = (site / name).read_text(encoding="utf-8")
            imported = re.findall(r"""from\s*["']\./([\w.-]+\.js)["']|import\s*["']\./([\w.-]+\.js)["']""", head)
            waiting |= {f"assets/{one or other}" for one, other in imported} - found
    return found | {"index.html"}


def test_the_first_view_is_within_its_budget() -> None:
    files = first_view(SITE)
    sizes = {name: (SITE / f"{name}.br").stat().st_size for name in files}
    assert any("overview" in name for name in files)
    assert any(size > 50_000 for size in sizes.values())  # the charts were found, too
    assert sum(sizes.values()) < BUDGET_BYTES, sizes


def test_the_page_has_neither_styles_nor_scripts_within_it() -> None:
    page = (SITE / "index.html").read_text(encoding="utf-8")
    assert re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", page) is None
    assert re.search(r"https?://", page) is None


def test_the_types_are_those_of_the_api_as_it_is(tmp_path: Path) -> None:
    """``make dashboard-types`` renews both files."""
    document = (ROOT / "dashboard" / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(document) == json.loads(openapi.document())
    made = tmp_path / "schema.d.ts"
    subprocess.run(["sh", str(ROOT / "tools" / "build-dashboard.sh"), sys.executable, "types", str(made)], check=True)
    assert made.read_text(encoding="utf-8") == (ROOT / "dashboard" / "src" / "api" / "schema.d.ts").read_text(
        encoding="utf-8"
    )
