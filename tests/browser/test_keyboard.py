"""The main paths without a mouse."""

from typing import Final

from playwright.sync_api import Page, expect

from tests.browser.browsing import Visit

ALL: Final = "all"


def focused(page: Page) -> str:
    text: str = page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''")
    return text.strip()


def test_tab_reaches_the_content_and_the_views(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    page.keyboard.press("Tab")
    assert focused(page) == "Overview"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Requests")


def test_letters_go_to_views_and_pause(visit: Visit) -> None:
    page = visit.go("/")
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.locator("h1")).to_have_text("Errors")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("/")
    expect(page.get_by_label("Value")).to_be_focused()
    page.keyboard.type("gm")  # goes into the field, and nowhere else
    expect(page.locator("h1")).to_have_text("Errors")


def test_the_help_tells_the_keys_and_turns_them_off(visit: Visit) -> None:
    page = visit.go("/settings")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Explore")
    page.get_by_label("Single keys do something").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.keyboard.press("Control+k")  # works always, and shows that the keys before it were heard
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("h1")).to_have_text("Settings")


def test_a_key_right_after_escape_opens_what_it_says(visit: Visit) -> None:
    """A browser tells of a dialog's end in a later task: the next dialog may be open by then.

    Until it has drawn again, the keys still come from the field in the dialog that is closed.
    """
    page = visit.go("/settings")
    again = """([key, ctrlKey]) => {
      document.querySelector("dialog").close();
      document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey, bubbles: true }));
    }"""
    page.keyboard.press("Control+k")
    for key, ctrl, words in (("k", True, ""), ("?", False, "Explore"), ("k", True, "")):
        expect(page.get_by_role("dialog")).to_be_visible()
        page.evaluate(again, [key, ctrl])
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
        expect(page.get_by_role("dialog")).to_contain_text(words)


def test_the_palette_finds_views_ranges_and_themes(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    for typed, seen in (("terminal", "html[data-theme=terminal]"), ("stream", "h1:text-is('Streaming')")):
        page.keyboard.press("Control+k")
        expect(page.locator("dialog").get_by_role("combobox")).to_be_focused()
        page.keyboard.type(typed)
        page.keyboard.press("Enter")
        expect(page.locator(seen)).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.locator("dialog").get_by_role("combobox")).to_be_focused()
    page.keyboard.type("7 days")
    page.keyboard.press("Enter")
    expect(page.locator(".segments [aria-pressed=true]").first).to_contain_text("7d")


def test_a_record_is_opened_and_left(visit: Visit) -> None:
    page = visit.go("/requests", range=ALL)
    row = page.locator(".requests .body .link").first
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog .facts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(row).to_be_focused()


def test_a_menu_opens_and_closes(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    menu = page.get_by_label("Requests by outcome: more")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Show as table").first).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show as table")).to_have_count(0)
