"""What must agree agrees: columns and docs, versions and changelog, links and files, verbs and README."""

import re
import subprocess
from pathlib import Path

import pytest
from tools import write_docs

from llm_metrics_proxy.analytics.versions import VERSION_HISTORY
from llm_metrics_proxy.metrics_service import APP_VERSION, FORMULAS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_every_column_stands_in_the_docs_as_the_record_defines_it() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert page == write_docs.with_table(page), "run: .venv/bin/python -m tools.write_docs"


def test_every_error_type_stands_in_the_docs_as_the_taxonomy_defines_it() -> None:
    page = (ROOT / "docs" / "topics" / "errors.md").read_text()
    assert page == write_docs.with_errors(page), "run: .venv/bin/python -m tools.write_docs"


def test_every_metric_and_dimension_of_a_query_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "topics" / "analytics.md").read_text()
    assert page == write_docs.with_queries(page), "run: .venv/bin/python -m tools.write_docs"


def test_every_outcome_is_explained() -> None:
    assert write_docs.undocumented_outcomes((ROOT / "docs" / "metrics.md").read_text()) == []


def test_the_changelog_begins_with_the_current_version() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest is not None
    assert newest[1] == APP_VERSION


def test_every_version_with_a_formula_of_its_own_is_described() -> None:
    page = (ROOT / "VERSIONING.md").read_text()
    described = {note.version for note in VERSION_HISTORY}
    for version in FORMULAS:
        assert f"### {version}" in page
        assert version in described
    assert f"### {APP_VERSION}" in page
    assert f"**Current version: {APP_VERSION}**" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_makefile_has_the_verbs_that_the_readme_and_ci_name() -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    pages = "\n".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md", ".ci/run"))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", pages, re.M))
    assert {"run", "test"} <= named <= verbs


def test_no_lock_and_no_page_names_a_place_to_download_from() -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.rstrip("\0").split("\0"):
        if name.endswith(".lock"):
            assert "://" not in (ROOT / name).read_text(), name
        if name.endswith("package-lock.json"):
            assert '"resolved"' not in (ROOT / name).read_text(), name
