"""Two everyday questions: did something get slower, and tokens per day per user for seven days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace
from playwright.sync_api import expect

from llm_metrics_proxy.record import RequestRecord
from tests.browser.browsing import NARROW, THEMES, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import MODELS, a_day, write
from tests.browser.served import served
from tests.browser.test_looks import AXE, LANGUAGES, RULES

SLOW: Final = MODELS[1].name
DAYS: Final = 9
TIMES: Final = ("response_time_ms", "time_to_first_token_ms", "time_to_last_token_ms", "time_to_first_byte_ms")


def slower(record: RequestRecord) -> RequestRecord:
    """It took twice as long."""
    slow: dict[str, Any] = {name: 2 * value for name in TIMES if (value := getattr(record, name)) is not None}
    return replace(record, **slow) if record.model == SLOW and record.success else record


def some_days(now: datetime) -> Iterator[RequestRecord]:
    """Days alike, but that one model is slow in the last one; the last two have the most requests."""
    for back in range(DAYS, -1, -1):
        for record in a_day(1500 if back < 2 else 200, now - timedelta(days=back), seed=back + 1):
            yield slower(record) if back == 0 else record


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a metrics process over them."""
    folder = tmp_path_factory.mktemp("days")
    write(folder / "metrics.db", some_days(datetime.now(UTC)))
    with served(folder) as address:
        yield address


@pytest.fixture
def visit(open_at: Open, days: str) -> Visit:
    return open_at(days)


def test_the_overview_says_which_model_got_slower_and_every_table_by_how_much(visit: Visit) -> None:
    page = visit.go("/")
    card = page.locator(".whatchanged")
    told = card.locator(".changes li", has_text=SLOW)
    slow = told.get_by_role("row").filter(has_text="Response time")
    expect(slow.locator(".up-bad")).to_contain_text("%")
    expect(slow).to_contain_text("n =")
    page.get_by_role("link", name="Models").click()
    table = visit.settled().locator("section.compared").first
    expect(table.get_by_role("row").filter(has_text=SLOW).locator(".delta .up-bad").first).to_contain_text("▲")
    expect(
        table.get_by_role("row").filter(has_text=MODELS[0].name).locator("td").first.locator(".delta")
    ).to_have_count(1)
    visit.assert_blameless()


def test_tokens_per_day_per_user_for_seven_days_are_one_click_and_a_table_away(visit: Visit) -> None:
    page = visit.go("/")
    page.get_by_role("link", name="Tokens per day by user").click()
    visit.settled()
    expect(page.get_by_label("Time step")).to_have_value("day")
    assert "bucket=day" in page.url
    assert "by=user" in page.url
    card = page.get_by_role("region", name="Tokens over time")
    expect(card.locator("canvas")).to_be_visible()
    card.get_by_label("Tokens over time: ").click()
    card.get_by_role("button", name="Show as table").click()
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(8)  # seven whole days, and what is left of the first
    expect(card.locator("thead th")).to_have_count(9)  # time, seven users, and all others
    visit.assert_blameless()


def test_the_time_step_is_kept_in_the_link_and_divides_every_chart(visit: Visit) -> None:
    page = visit.go("/", range="7d")
    page.get_by_label("Time step").select_option("hour")
    visit.settled()
    assert "bucket=hour" in page.url
    page.reload()
    visit.settled()
    expect(page.get_by_label("Time step")).to_have_value("hour")
    page.get_by_label("Time step").select_option("")
    visit.settled()
    assert "bucket" not in page.url


def test_the_card_violates_no_rule_of_axe_and_fits_in_every_language(open_at: Open, days: str) -> None:
    visit = open_at(days, viewport=NARROW)
    page = visit.go("/")
    page.locator(".told summary").click()
    page.evaluate("scrollTo(0, 0)")  # else the head, which stays in sight, may lie over half of a button
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in THEMES:
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found] == []
    for language in LANGUAGES:
        page.evaluate("(language) => localStorage.setItem('language', language)", language)
        page.reload()
        visit.settled()
        assert overflow_px(page) <= 0, language
