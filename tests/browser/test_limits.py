"""Who is about to spend too much, how close a subscription's limit is, and one's own usage: at most two clicks away."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from playwright.sync_api import Page, expect

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.quotas import QuotaBook
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_record, a_row
from tests.browser.browsing import NARROW, PHONE, THEMES, overflow_px, sideways
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served
from tests.browser.test_looks import AXE, LANGUAGES, RULES

WHOLE: Final = "the-token-that-sees-everything"
ANNA: Final = "the-token-of-anna"
KEY: Final = "7f3a9c01d2e4"
CLAUDE: Final = "api.anthropic.com:443"
# Where it is noon now, so that a day's budget has the records of the last hours, and as much of the day before it.
NOON_ZONE: Final = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
SETTINGS: Final = f"""
metrics_token = "{WHOLE}"
[[tokens]]
name = "anna"
token = "{ANNA}"
user = "anna"
[[budgets]]
name = "team"
usd = 40
per = "day"
timezone = "{NOON_ZONE}"
each = "user"
[[budgets]]
name = "everything"
tokens = 900000000
per = "day"
timezone = "{NOON_ZONE}"
"""
SPENT: Final = (("anna", 0.31), ("ben", 1.9), ("cleo", 0.02), ("dora", 0.9), ("emil", 0.05), ("fay", 0.01), ("", 0.03))


def fill(path: Path, now: datetime) -> None:
    """A day of traffic, a Claude subscription that will not last its 5 hours, and somebody who spends too much."""
    write(path, a_day(300, now))
    store = SqliteStore(path)
    rows = []
    for number in range(40):
        at = now - timedelta(minutes=5 * number)
        for user, usd in SPENT:
            record = a_record(
                timestamp=stored_time(at), user=user or None, api_key_id=KEY, app="Claude Code", backend=CLAUDE,
                model="claude-sonnet-4-5", total_tokens=9_000 + number,
            )  # fmt: skip
            rows.append(a_row(record, cost_usd=usd * (0.6 + 0.4 * math.sin(number))))
    store.append(IngestBatch(rows=rows))
    book = QuotaBook()
    began = now - timedelta(hours=3, minutes=10)
    for past in range(24, 0, -1):
        hear(
            book, began - timedelta(hours=5 * past - 4), began - timedelta(hours=5 * past - 5), 35 + 55 * (past % 5) / 4
        )
    for minute in range(0, 191, 10):
        hear(book, began + timedelta(minutes=minute), began + timedelta(hours=5), 78 * (minute / 190) ** 1.3)
    store.append(IngestBatch(windows=book.take_changes()))
    store.close()


DAY_S: Final = 86_400
WEEK_ENDS: Final = datetime.now(UTC) + timedelta(days=2.2)


def hear(book: QuotaBook, at: datetime, resets: datetime, used: float) -> None:
    """An answer of a subscription."""
    facts: dict[str, Any] = {
        "quota_primary_used_percent": round(used), "quota_primary_window_ms": 18e6,
        "quota_primary_reset_ms": (resets - at).total_seconds() * 1000,
        "quota_secondary_used_percent": max(0.0, 41 - (WEEK_ENDS - at).total_seconds() / DAY_S * 2),
        "quota_secondary_window_ms": 604.8e6, "quota_secondary_reset_ms": (WEEK_ENDS - at).total_seconds() * 1000,
    }  # fmt: skip
    record = a_record(timestamp=stored_time(at), backend=CLAUDE, backend_name=None, api_key_id=KEY, **facts)
    book.observe(msgspec.structs.replace(record, response_headers_ms=0.0))


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A metrics process that watches budgets, over that day."""
    folder = tmp_path_factory.mktemp("limits")
    fill(folder / "metrics.db", datetime.now(UTC))
    (folder / "f.toml").write_text(SETTINGS)
    with served(folder, "--config", str(folder / "f.toml"), "--watch-interval-s", "1") as address:
        yield address


def refused(text: str) -> bool:
    return "401" in text


def signed_in(open_at: Open, address: str, token: str = WHOLE, path: str = "/", **options: Any) -> Page:
    visit = open_at(address, tolerates=refused, **options)
    visit.page.goto(f"{address}{path}?range=7d&tz=Europe/Berlin")
    visit.page.get_by_label("Token", exact=True).fill(token)
    visit.page.keyboard.press("Enter")
    return visit.settled()


def to_limits(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Limits & budgets").click()
    expect(page.locator("h1")).to_have_text("Limits & budgets")


def test_who_is_about_to_spend_too_much_is_seen_on_the_overview_and_one_click_on(open_at: Open, watched: str) -> None:
    page = signed_in(open_at, watched)
    near = page.locator(".near").get_by_role("link")
    expect(near.filter(has_text="team, ben")).to_be_visible()
    near.filter(has_text="team, ben").click()
    table = page.get_by_role("group", name="Budgets").get_by_role("table")
    first = table.get_by_role("row", name="ben")
    expect(first).to_contain_text("Exceeded")
    expect(first).to_contain_text("of $40")
    expect(table.get_by_role("row", name="dora")).to_contain_text("Will be exceeded")
    expect(table.get_by_role("row", name="fay")).to_have_count(0)
    page.get_by_role("button", name=" more").click()
    expect(table.get_by_role("row", name="fay")).to_contain_text("On track")
    expect(table.get_by_role("row", name="All requests")).to_contain_text("On track")


def test_how_close_the_subscriptions_limit_is_takes_one_click(open_at: Open, watched: str) -> None:
    page = signed_in(open_at, watched)
    to_limits(page)
    five = page.get_by_role("region", name="5h window")
    expect(five).to_contain_text("22% left")
    expect(five).to_contain_text("before the reset")
    expect(five).to_contain_text("per hour")
    expect(five.get_by_role("meter")).to_have_attribute("aria-valuenow", "22")
    expect(five.get_by_role("img")).to_be_visible()
    expect(five.get_by_role("list", name="Last windows").get_by_role("listitem")).to_have_count(24)
    week = page.get_by_role("region", name="7d window")
    expect(week).to_contain_text("63.4% left")


def test_my_own_usage_is_the_same_page_with_my_own_numbers(open_at: Open, watched: str) -> None:
    whole = signed_in(open_at, watched, path="/clients")
    expect(whole.locator(".main")).not_to_contain_text("Only your part")
    page = signed_in(open_at, watched, ANNA)
    expect(page.locator(".scope-note")).to_contain_text("Only your part of the requests: user=anna")
    expect(page.locator(".stats .stat").first).to_contain_text("40")
    expect(page.get_by_text("All is well")).to_be_visible()
    views = page.get_by_role("navigation").get_by_role("link")
    expect(views.filter(has_text="Settings")).to_have_count(0)
    expect(views.filter(has_text="Versions")).to_have_count(0)
    to_limits(page)
    table = page.get_by_role("group", name="Budgets").get_by_role("table")
    expect(table.get_by_role("row", name="anna")).to_be_visible()
    expect(table.get_by_role("row", name="ben")).to_have_count(0)
    page.get_by_role("navigation").get_by_role("link", name="Requests").click()
    expect(page.locator(".requests .body .tr").first).to_be_visible()
    assert "ben" not in page.locator(".main").inner_text().split()
    for view in ("Sessions", "Costs", "Models", "Clients", "Errors", "Explore"):
        page.get_by_role("navigation").get_by_role("link", name=view, exact=True).click()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)


def test_the_view_is_whole_in_every_theme_and_language_and_on_a_telephone(open_at: Open, watched: str) -> None:
    page = signed_in(open_at, watched, path="/limits")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in THEMES:
        page.get_by_label("Theme").select_option(theme)
        expect(page.locator(f"html[data-theme={theme}]")).to_be_visible()
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [(one["id"], [each["html"] for each in one["nodes"]]) for one in found] == []
    for language in LANGUAGES:
        page.locator("select:has(option[value=ja])").select_option(language)
        expect(page.locator(f"html[lang={language}]")).to_be_visible()
        for size in (NARROW, PHONE):
            page.set_viewport_size(size)
            assert overflow_px(page) == 0
            assert sideways(page) == []
        page.set_viewport_size({"width": 1440, "height": 1000})


def test_where_nothing_is_told_the_view_says_who_tells(open_at: Open, site: str) -> None:
    page = open_at(site).go("/limits")
    expect(page.locator(".main")).to_contain_text("No server has reported yet what is left of a limit.")
    expect(page.locator(".main")).to_contain_text("Claude and Codex subscriptions")
    expect(page.locator(".main")).to_contain_text("[[budgets]]")
    page.goto(f"{site}/")
    expect(page.locator(".near")).to_have_count(0)
