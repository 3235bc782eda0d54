"""``report`` on a real database."""

import json
from pathlib import Path

import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("store")
RANGE = ("--since", "2026-01-01", "--until", "2026-01-02")


def test_without_anything_it_is_markdown_about_the_last_week(cli: Cli) -> None:
    ran = cli("report")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("# LLM traffic report\n")
    assert "There were no requests" in ran.out  # the records are older
    assert "3 requests in 1 day" in cli("report", *RANGE).out


def test_a_page_is_written_and_not_replaced_unless_told(cli: Cli, tmp_path: Path) -> None:
    assert cli("report", *RANGE, "--output", "week.html") == (0, "", "")
    page = (tmp_path / "week.html").read_text()
    assert page.startswith("<!doctype html>")
    assert f"by version {APP_VERSION}" in page
    assert "is there already" in cli("report", *RANGE, "--output", "week.html").err
    assert cli("report", *RANGE, "--output", "week.html", "--force").code == 0


def test_json_has_the_numbers(cli: Cli) -> None:
    report = json.loads(cli("report", *RANGE, "--format", "json", "--model", "qwen").out)
    assert (report["records"], report["errors"]["errors"]) == (1, 1)
    assert report["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "pdf"], "there is no format 'pdf'; there are: html, md, json"),
        (["--timezone", "Mars"], "IANA"),
        (["--since", "2099-01-01"], "start must be before the end of the report"),
        (["--db-path", "absent.db"], "no database at absent.db"),
    ],
)
def test_bad_flags_are_one_line_and_leave_no_file(cli: Cli, tmp_path: Path, flags: list[str], message: str) -> None:
    ran = cli("report", "--output", "out.html", *flags)
    assert ran.code in (1, 2)
    assert message in ran.err
    assert not list(tmp_path.glob("out.html*"))
