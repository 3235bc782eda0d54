"""What the program says of itself, a reader finds in their own language: no English sentence is left."""

from typing import Final

import pytest
from tools.dashboard_words import error_texts, settings_texts

from tests.browser.browsing import Visit
from tests.browser.conftest import Open

# All that is read on a page, in one line; names in back-ticks stand in elements of their own, so marks are taken out.
_SAID: Final = "document.querySelector('.main').innerText.replace(/\\s+/g, ' ')"
_LEAST_WORDS: Final = 4  # a shorter text may be the same name in two languages


def sentences(texts: dict[str, str]) -> list[str]:
    """Pieces of the program's English that would be seen on the page as they are: those between marks."""
    pieces = (piece for text in texts.values() for piece in text.replace("[", "`").split("`"))
    return [cut for piece in pieces if len((cut := piece.strip(" .,;:()")).split()) >= _LEAST_WORDS and "](" not in cut]


def left(visit: Visit, english: dict[str, str]) -> list[str]:
    said = visit.page.evaluate(_SAID)
    return [sentence for sentence in sentences(english) if sentence in said]


@pytest.mark.parametrize("language", ["de-DE", "ja-JP"])
@pytest.mark.parametrize(("view", "english"), [("/settings", settings_texts()), ("/errors", error_texts())])
def test_no_english_sentence_is_left(
    open_at: Open, site: str, language: str, view: str, english: dict[str, str]
) -> None:
    visit = open_at(site, locale=language)
    visit.go(view, range="all")
    assert left(visit, english) == []


def test_an_english_reader_reads_the_programs_own(open_at: Open, site: str) -> None:
    """So the search above would find an English sentence if there were one."""
    visit = open_at(site)
    visit.go("/settings")
    english = settings_texts()
    assert len(left(visit, english)) == len(sentences(english)) > 100
    visit.go("/errors", range="all")
    assert left(visit, error_texts())


def test_settings_are_found_by_words_of_the_readers_language(open_at: Open, site: str) -> None:
    visit = open_at(site, locale="de-DE")
    page = visit.go("/settings")
    page.locator("input[type=search]").fill("Passwort")
    names = page.locator(".setting dt").all_inner_texts()
    assert {"store", "store_password", "store_password_file"} == set(names)


def test_outcomes_are_named_and_still_lead_to_their_records(open_at: Open, site: str) -> None:
    visit = open_at(site, locale="de-DE")
    page = visit.go("/", range="all")
    assert "abgeschlossen" in page.locator(".legend").first.inner_text()
    assert page.locator(".stat").first.get_attribute("title") == "ausgewählte Datensätze"
