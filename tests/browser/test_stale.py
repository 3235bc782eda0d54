"""When nothing answers any more, the numbers stay, and say that they are old."""

from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.browsing import PATIENCE_MS
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served


def unanswered(text: str) -> bool:
    """What Chromium says of a server that is gone."""
    return "ERR_CONNECTION" in text or "ERR_EMPTY" in text or "ERR_INCOMPLETE" in text


def test_a_metrics_process_that_ends_leaves_its_last_numbers(open_at: Open, tmp_path: Path) -> None:
    write(tmp_path / "metrics.db", a_day(200, datetime.now(UTC)))
    with served(tmp_path) as address:
        page = open_at(address, tolerates=unanswered).go("/", range="all")
        expect(page.locator(".stat .value").first).to_have_text("200")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.locator(".stat .value").first).to_have_text("200")


def test_a_range_that_moves_on_keeps_them_too(open_at: Open, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    write(tmp_path / "metrics.db", a_day(2000, now))
    with served(tmp_path) as address:
        visit = open_at(address, tolerates=unanswered)
        visit.page.clock.install(time=now.replace(second=45))  # what changed is asked anew when a minute begins
        page = visit.go("/", range="1h")
        figure = page.locator(".stat .value").first.inner_text()
        assert int(figure) > 0
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    visit.requested.clear()

    def went_on() -> bool:
        """To the next moment, and asked more than once."""
        asked = visit.requested.count
        return asked("/api/v1/query") > 10 and asked("/api/v1/changes") > 1

    for _look in range(PATIENCE_MS // 100):
        if went_on():
            break
        page.wait_for_timeout(100)
    assert went_on()
    page.wait_for_timeout(4000)  # until the last attempt has failed
    expect(page.get_by_text("could not be loaded")).to_have_count(0)
    assert page.locator(".stat .value").first.inner_text() == figure


def test_a_page_that_is_opened_while_nobody_answers_goes_on_when_somebody_does(open_at: Open, site: str) -> None:
    visit = open_at(site, tolerates=lambda text: "503" in text)
    is_full = True
    visit.page.route("**/session", lambda route: route.fulfill(status=503, body="") if is_full else route.continue_())
    visit.page.goto(f"{site}/?range=all")
    expect(visit.page.get_by_text("does not answer")).to_be_visible()
    is_full = False
    visit.settled()
