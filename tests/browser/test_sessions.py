"""Which session burned the tokens? Asked on the page, with two clicks, of many records."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import a_record
from tests.browser.browsing import NARROW, PHONE, overflow_px, sideways
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served
from tests.browser.session_records import a_run, runs
from tests.browser.test_looks import AXE, RULES

OTHERS: Final = 20_000
HOSTILE: Final = (
    "..", "a%2Fb/c", "<img src=x onerror=\"document.title='taken'\">", "x?session=y#z&range=all", "7", "日本",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sessions")
    end = datetime.now(UTC)
    write(folder / "metrics.db", a_day(OTHERS, end))
    write(folder / "metrics.db", runs(60, end))
    at = stored_time(end - timedelta(hours=1))
    write(folder / "metrics.db", (a_record(session_id=name, timestamp=at) for name in HOSTILE))
    return folder


@pytest.fixture(scope="module")
def site_of_sessions(folder: Path) -> Iterator[str]:
    with served(folder) as address:
        yield address


def words(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def most_tokens(folder: Path) -> list[str]:
    reader = SqliteReader(folder / "metrics.db")
    rows = reader.query(
        "SELECT session_id FROM completion_requests WHERE session_id NOT NULL GROUP BY 1 "
        "ORDER BY sum(total_tokens) DESC LIMIT 5"
    )
    reader.close()
    return [name for (name,) in rows]


def test_the_session_that_burned_the_tokens_is_two_clicks_away(
    open_at: Open, site_of_sessions: str, folder: Path
) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/")
    page.get_by_role("link", name="Sessions").click()
    rows = page.locator(".sessions tbody tr")
    expect(rows).to_have_count(50)
    assert rows.locator("th").all_inner_texts()[:5] == most_tokens(folder)
    rows.first.get_by_role("button").click()
    visit.settled()
    expect(page.locator(".session-sentence")).to_contain_text("Claude Code sent")
    expect(page.locator(".session-sentence")).to_contain_text("tokens. It cost $")
    assert words(page)["session"] == "burner"
    line = page.get_by_role("slider", name="Time line")
    expect(line).to_be_visible()
    for heading in ("Where the time went", "Where the money went", "Agents", "Sessions it started", "Requests"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(page.get_by_text("Cache misses")).to_be_visible()


def test_parts_of_the_time_are_all_of_it(open_at: Open, site_of_sessions: str) -> None:
    page = open_at(site_of_sessions).go("/sessions", session="burner")
    shown = page.get_by_role("list", name="Where the time went").locator("li .number").all_inner_texts()
    shares = [float(found[1]) for text in shown if (found := re.search(r"([\d.]+)%", text))]
    assert len(shares) >= 4
    assert sum(shares) == pytest.approx(100, abs=0.5)


def test_headings_sort_and_the_link_keeps_it(open_at: Open, site_of_sessions: str) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/sessions")
    page.get_by_role("button", name="Errors").click()
    expect(page.locator("th[aria-sort]")).to_have_text(re.compile("Errors"))
    expect(page.locator("th[aria-sort=descending]")).to_have_count(1)
    visit.settled()
    errors = [int(text) for text in page.locator(".sessions tbody tr td:nth-child(8)").all_inner_texts()]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0
    page.get_by_role("button", name="Errors").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)
    assert words(page)["sort"] == "errors"
    other = open_at(site_of_sessions).go("/sessions", sort="-cost_usd")
    expect(other.locator("th[aria-sort=descending]")).to_have_text(re.compile("Cost"))
    expect(other.locator(".sessions tbody tr")).to_have_count(50)
    other.get_by_role("button", name="Show more").click()
    expect(other.locator(".sessions tbody tr")).to_have_count(69)


def test_the_line_is_read_and_opened_by_the_keyboard(open_at: Open, site_of_sessions: str) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/sessions", session="burner")
    line = page.get_by_role("slider", name="Time line")
    line.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(line).to_have_attribute("aria-valuenow", "2")
    expect(line).to_have_attribute("aria-valuetext", re.compile("Main agent · claude-opus-4-5, Prompt"))
    page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuenow", str(line.get_attribute("aria-valuemax")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("dialog").get_by_role("link", name="burner", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert words(page)["session"] == "burner"


def test_a_click_opens_a_request_and_a_drag_looks_closer(open_at: Open, site_of_sessions: str) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/sessions", session="burner")
    box = page.locator(".session-line svg").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y, steps=4)
    page.mouse.up()
    expect(page.get_by_role("button", name="Show all")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(page.get_by_role("button", name="Show all")).to_have_count(0)
    page.mouse.click(box["x"] + 3, box["y"] + 130)
    expect(page.get_by_role("dialog")).to_be_visible()


def test_requests_of_a_session_lead_to_each_and_each_back(open_at: Open, site_of_sessions: str) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/sessions", session="burner-review")
    page.get_by_role("button", name="started by burner").click()
    visit.settled()
    expect(page.locator(".session-sentence")).to_be_visible()
    page.locator(".session-requests .body .link").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="All its requests").click()
    expect(page.locator("h1")).to_have_text("Requests")
    expect(page.locator(".chip")).to_contain_text("burner")


def test_a_running_session_grows_while_one_looks(open_at: Open, tmp_path: Path) -> None:
    end = datetime.now(UTC)
    run = a_run(end - timedelta(minutes=4), 200, 5, "growing")
    write(tmp_path / "metrics.db", iter(run[:20]))
    with served(tmp_path) as address:
        page = open_at(address).go("/sessions", session="growing")
        expect(page.locator(".session-facts")).to_contain_text("Live")
        slider = page.get_by_role("slider", name="Time line")
        expect(slider).to_have_attribute("aria-valuemax", "20")
        now = stored_time(datetime.now(UTC))
        write(tmp_path / "metrics.db", iter([a_record(session_id="growing", timestamp=now)]))
        expect(slider).to_have_attribute("aria-valuemax", "21")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_session_of_any_name_is_opened(open_at: Open, site_of_sessions: str, name: str) -> None:
    visit = open_at(site_of_sessions)
    page = visit.go("/sessions", session_id=f'"{name}"' if name == "7" else name)
    page.locator(".sessions .session-id").click()
    visit.settled()
    expect(page.locator(".session-facts .mono")).to_have_text(name)
    page.reload()
    visit.settled()
    expect(page.locator(".session-facts .mono")).to_have_text(name)
    assert "taken" not in page.title()


def test_where_there_is_none_the_page_says_how_to_send_one(open_at: Open, site_of_sessions: str) -> None:
    page = open_at(site_of_sessions).go("/sessions", session_id="nobody's")
    expect(page.get_by_text("x-llm-metrics-session")).to_be_visible()
    expect(page.get_by_text("Claude Code")).to_be_visible()


def test_one_that_is_gone_is_said_and_leads_back(open_at: Open, site_of_sessions: str) -> None:
    page = open_at(site_of_sessions, lambda text: "404" in text).go("/sessions")
    page.goto(f"{site_of_sessions}/sessions?session=nobody")
    expect(page.get_by_role("alert")).to_contain_text("no record has this session_id")
    page.get_by_role("button", name="All sessions").click()
    expect(page.locator(".sessions tbody tr").first).to_be_visible()


@pytest.mark.parametrize("session", [None, "burner"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_axe_is_violated(open_at: Open, site_of_sessions: str, scheme: str, session: str | None) -> None:
    visit = open_at(site_of_sessions, color_scheme=scheme)
    page = visit.go("/sessions", **({} if session is None else {"session": session}))
    page.evaluate(AXE.read_text())
    found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
    assert [(one["id"], [node["html"][:90] for node in one["nodes"]][:3]) for one in found] == []


@pytest.mark.parametrize("viewport", [PHONE, NARROW])
def test_nothing_reaches_beyond_a_phone(open_at: Open, site_of_sessions: str, viewport: dict[str, int]) -> None:
    visit = open_at(site_of_sessions, viewport=viewport)
    for search in ({}, {"session": "burner"}, {"session_id": "nobody"}):
        page = visit.go("/sessions", **search)
        assert (overflow_px(page), sideways(page)) == (0, [])
