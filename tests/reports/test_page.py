"""The page: valid, alone, and proof against whatever strangers wrote."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from llm_metrics_proxy.analytics.history import history_of
from llm_metrics_proxy.analytics.records import Carried
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.reports.page import content_security_policy, html, judged, tiles
from tests.analytics.database import Database, a_record
from tests.reports.test_numbers import a_figure
from tests.reports.traffic import HOSTILE, hostile, report_of, two_weeks

VOID = {"meta", "br", "line", "rect", "circle", "polyline", "img", "link"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text; every tag has to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data


@pytest.fixture
def page(database: Database) -> str:
    two_weeks(database)
    return html(report_of(database, timezone="Europe/Berlin"))


def test_it_shows_figures_summary_charts_tables_errors_and_who_computed_it(page: str) -> None:
    seen = Page(page)
    text = " ".join(seen.text.split())
    assert "1 Mar 2026, 13:00 to 8 Mar 2026, 13:00, Europe/Berlin" in text
    assert "Success rate 92.9% \N{MINUS SIGN}7.1 points from 100% n = 168" in text
    assert "168 requests in 7 days" in text
    assert "qwen" in text
    assert "all others" in text
    assert "12 of 168 requests (7.1%) met an error" in text
    assert "overloaded" in text
    assert f"by version {APP_VERSION} of LLM Metrics Proxy from 168 records" in text
    assert "Percentiles are exact. n is the number of records" in text
    assert seen.tags.count("svg") >= 4


def test_it_needs_nothing_else_and_forbids_itself_to_load_anything(page: str) -> None:
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "a", "base"} & set(seen.tags)
    assert not {"src", "href", "style", "action"} & {name for name, _ in seen.attributes}
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    addresses = set(re.findall(r"\w+://[^\s\"'<]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a vocabulary; nobody asks there
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert content_security_policy() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert ("content", content_security_policy()) in seen.attributes


def test_it_has_two_themes_and_one_for_paper(page: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page


def test_whatever_strangers_wrote_is_shown_as_text_and_breaks_nothing(database: Database) -> None:
    two_weeks(database)
    tags = set(Page(html(report_of(database))).tags)
    hostile(database)
    page = html(report_of(database))
    seen = Page(page)
    assert set(seen.tags) <= tags | {"code"}
    assert not {"src", "onerror", "href"} & {name for name, _ in seen.attributes}
    assert "<script>alert(1)</script>" in seen.text
    assert '"><img src=x onerror=alert(1)>' in seen.text
    assert "{{ 7 * 7 }}{% raw %}" in seen.text
    assert "&amp;&lt;" in seen.text
    assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", page)
    assert not re.search("[\u202a-\u202e\x00\x1b]", page)
    assert "x" * 81 not in page
    assert "\u05e9\u05dc\u05d5\u05dd" in seen.text
    assert len(page) < 300_000
    assert len(HOSTILE[4]) == 10_000


def test_an_empty_range_is_a_page_too(database: Database) -> None:
    seen = Page(html(report_of(database)))
    assert "There were no requests from" in seen.text
    assert "svg" not in seen.tags


def test_history_that_is_lacking_is_told_in_front(database: Database) -> None:
    database.add(a_record(0))
    lacking = history_of(Carried(250, 1000, None, "migration 3 was taken back (<b>)"))
    text = Page(html(replace(report_of(database), history=lacking))).text
    told = "750 older records are not in the answers: migration 3 was taken back (<b>)."
    assert text.index(told) < text.index("Summary")


def test_a_stated_error_of_percentiles_is_told(database: Database) -> None:
    two_weeks(database)
    assert "Percentiles are within 1%. n is the number" in html(replace(report_of(database), relative_error=0.01))


def test_only_what_is_known_has_a_tile(database: Database) -> None:
    database.add(a_record(0, completion_tokens=None))
    assert "completion_tokens" not in {figure.name for figure in tiles(report_of(database))}


@pytest.mark.parametrize(
    ("change", "better", "word"),
    [(0.1, "up", "good"), (-0.1, "up", "bad"), (0.1, "down", "bad"), (-0.1, "down", "good"), (0.1, "", "plain"),
     (None, "up", "plain"), (0.0, "up", "plain")],
)  # fmt: skip
def test_a_change_is_judged_by_which_way_is_better(change: float | None, better: str, word: str) -> None:
    assert judged(a_figure(change=change, better=better)) == word
