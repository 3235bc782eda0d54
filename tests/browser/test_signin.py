"""With a token set, nothing is shown or fetched before it was given."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

TOKEN: Final = "a-token-of-this-test"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """An address that wants ``TOKEN``."""
    write(tmp_path / "metrics.db", a_day(50, datetime.now(UTC)))
    with served(tmp_path, token=TOKEN) as address:
        yield address


def refused(text: str) -> bool:
    """What Chromium says of an answer that is meant to refuse."""
    return "401" in text


def test_sign_in_and_sign_out(open_at: Open, guarded: str) -> None:
    visit = open_at(guarded, tolerates=refused)
    page = visit.page
    page.goto(f"{guarded}/requests?range=all")
    expect(page.get_by_label("Token", exact=True)).to_be_focused()
    assert {path for path in visit.requested if not path.startswith(("/assets/", "/favicon"))} == {
        "/requests",
        "/session",
    }
    page.get_by_label("Token", exact=True).fill("not-the-token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".requests .body .tr").first).to_be_visible()
    assert page.evaluate("document.cookie") == ""  # HttpOnly
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert page.context.cookies() == []
    visit.requested.clear()
    page.reload()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert not any(path.startswith("/api/") for path in visit.requested)


def test_a_session_that_ends_while_the_page_is_open_asks_again(open_at: Open, guarded: str) -> None:
    page = open_at(guarded, tolerates=refused).page
    page.goto(f"{guarded}/models?range=all")
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".compared").first).to_be_visible()
    page.context.clear_cookies()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
