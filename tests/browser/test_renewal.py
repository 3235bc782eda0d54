"""A tab that stays open while the program is replaced: its parts are gone, so it loads the new page, once."""

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

import llm_metrics_proxy
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.browser.browsing import Visit
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

NEWER: Final = "9.9.9"
_PACKAGE: Final = Path(llm_metrics_proxy.__file__).parent


def unhelpful(text: str) -> bool:
    """What Chromium and React say of parts that are gone, and of a server that is."""
    return any(word in text for word in ("ERR_", "404", "dynamically imported", "error boundary", "404 (Not Found)"))


def newer(folder: Path, *, without: str | None = None) -> Path:
    """The program as it will be: every part of the page has another name, and ``app_version`` another number."""
    shutil.copytree(_PACKAGE, folder / _PACKAGE.name, ignore=shutil.ignore_patterns("*.br", "*.gz", "__pycache__"))
    site = folder / _PACKAGE.name / "dashboard" / "site"
    names = {path.name: f"{path.stem}N{path.suffix}" for path in (site / "assets").iterdir()}
    renamed = re.compile("|".join(map(re.escape, names)))
    for path in [site / "index.html", *(site / "assets").iterdir()]:
        text = path.read_text(encoding="utf-8")
        path.write_text(renamed.sub(lambda found: names[found[0]], text), encoding="utf-8")
        path.rename(path.with_name(names.get(path.name, path.name)))
    if without is not None:
        (gone,) = (site / "assets").glob(f"{without}-*.js")
        gone.unlink()
    service = folder / _PACKAGE.name / "metrics_service.py"
    text = service.read_text(encoding="utf-8")
    now = f'APP_VERSION: Final = "{APP_VERSION}"'
    assert now in text
    service.write_text(text.replace(now, f'APP_VERSION: Final = "{NEWER}"'), encoding="utf-8")
    return folder


class Program:
    """What runs on one port: first as installed, then another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        write(folder / "metrics.db", a_day(100, datetime.now(UTC)))
        self.address = self._running.enter_context(served(folder))

    def stop(self) -> None:
        self._running.close()

    def start(self, sources: Path | None = None) -> None:
        port = urlsplit(self.address).port
        assert port is not None
        self._running.enter_context(served(self._folder, port=port, sources=sources))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    (tmp_path / "old").mkdir()
    started = Program(tmp_path / "old")
    yield started
    started.stop()


def loads(visit: Visit) -> list[str]:
    """Every time that the page itself is loaded from now on."""
    found: list[str] = []
    visit.page.on("framenavigated", lambda frame: found.append(frame.url))
    visit.page.on("domcontentloaded", lambda page: found.append("loaded"))
    return found


def script(page: Page) -> str:
    found: str = page.evaluate("document.querySelector('script[type=module]').src")
    return found


def test_the_next_view_is_that_of_the_new_page_with_all_that_was_chosen(
    open_at: Open, program: Program, tmp_path: Path
) -> None:
    visit = open_at(program.address, tolerates=unhelpful)
    page = visit.go("/", range="30d", model="gpt-4o-mini")
    old, loaded = script(page), loads(visit)
    program.stop()
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    program.start(newer(tmp_path / "new"))
    note = page.get_by_role("status").filter(has_text=f"Version {NEWER} answers now; this page is of {APP_VERSION}.")
    expect(note.get_by_role("button", name="Reload the page")).to_be_visible()
    assert "loaded" not in loaded  # what is being read stays
    page.get_by_role("link", name="Models").click()
    expect(page.locator(".compared").first).to_be_visible()
    visit.settled()
    assert script(page) != old
    assert loaded.count("loaded") == 1
    assert "range=30d" in page.url
    assert "model=gpt-4o-mini" in page.url
    expect(page.locator(".chip")).to_contain_text("gpt-4o-mini")
    expect(note).to_have_count(0)
    expect(page.locator(".preferences")).to_contain_text(NEWER)


def test_a_view_asked_for_while_nothing_answers_comes_when_it_does(open_at: Open, program: Program) -> None:
    visit = open_at(program.address, tolerates=unhelpful)
    page = visit.go("/", range="30d")
    program.stop()
    page.get_by_role("link", name="Errors").click()
    expect(page.get_by_role("alert").filter(has_text="The metrics process does not answer").first).to_be_visible()
    program.start()
    expect(page.locator(".lead strong")).to_be_visible()
    expect(page.locator("h1")).to_have_text("Errors")
    assert "range=30d" in page.url


def test_a_part_that_stays_away_is_loaded_again_once_and_then_told(
    open_at: Open, program: Program, tmp_path: Path
) -> None:
    visit = open_at(program.address, tolerates=unhelpful)
    page = visit.go("/", range="30d")
    program.stop()
    program.start(newer(tmp_path / "new", without="models"))
    loaded = loads(visit)
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("alert").filter(has_text="This part of the page cannot be shown")).to_be_visible()
    assert loaded.count("loaded") == 1
    page.wait_for_timeout(1500)
    assert loaded.count("loaded") == 1
    expect(page.get_by_text("Something went wrong")).to_have_count(0)
    page.get_by_role("link", name="Errors").click()  # all else goes on
    expect(page.locator(".lead strong")).to_be_visible()


def test_dialogs_and_languages_are_parts_too(open_at: Open, program: Program, tmp_path: Path) -> None:
    visit = open_at(program.address, tolerates=unhelpful)
    page = visit.go("/settings")
    program.stop()
    program.start(newer(tmp_path / "new"))
    page.get_by_label("Language").select_option("de")
    expect(page.locator("h1")).to_have_text("Einstellungen")
    page.evaluate("sessionStorage.clear()")  # as if it had been long ago
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_text("Something went wrong")).to_have_count(0)
