"""Themes, languages, zones, and what people with other eyes and hands need."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import THEMES, VIEWS, Visit, overflow_px
from tests.browser.conftest import Open

ALL: Final = "all"
AXE: Final = Path(__file__).parents[2] / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
# WCAG 2.2 at A and AA, and what axe calls best practice.
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Figures that have no room for all of their text.
_CUT: Final = """[...document.querySelectorAll(".stat .value")]
  .filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)"""
LANGUAGES: Final = {
    "en": "Overview", "de": "Überblick", "fr": "Vue d", "es": "Resumen", "ja": "概要", "ko": "개요", "zh": "概览",
    "ru": "Обзор",
}  # fmt: skip


@pytest.mark.parametrize("path", VIEWS)
def test_no_view_violates_a_rule_of_axe_in_any_theme(visit: Visit, path: str) -> None:
    page = visit.go(path, range=ALL)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, list[Any]] = {}
    for theme in THEMES:
        page.get_by_label("Theme").select_option(theme)
        expect(page.locator(f"html[data-theme={theme}]")).to_be_visible()
        violations = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        for one in violations:
            found[f"{theme}: {one['id']}"] = [(node["html"][:200], node["failureSummary"]) for node in one["nodes"][:3]]
    assert found == {}


def test_dialogs_violate_no_rule_of_axe(visit: Visit) -> None:
    page = visit.go("/requests", range=ALL)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for key in ("Control+k", "?"):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".requests .body .link").first.click()
    expect(page.locator("dialog .facts")).to_be_visible()
    found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found] == []


def test_the_theme_follows_the_system_until_one_is_chosen(open_at: Open, site: str) -> None:
    page = open_at(site, color_scheme="dark").go("/settings")
    expect(page.locator("html[data-theme=dark]")).to_be_visible()
    page.emulate_media(color_scheme="light")
    expect(page.locator("html[data-theme=light]")).to_be_visible()
    page.get_by_label("Theme").select_option("terminal")
    page.reload()
    expect(page.locator("html[data-theme=terminal]")).to_be_visible()


def test_all_languages_switch_the_page_and_its_numbers(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    select = page.locator(".preferences select").nth(1)
    for language, overview in LANGUAGES.items():
        select.select_option(language)
        expect(page.locator(f"html[lang={language}]")).to_be_visible()
        expect(page.locator("h1")).to_contain_text(overview)
        assert overflow_px(page) == 0
        assert page.evaluate(_CUT) == []
    select.select_option("de")
    share = page.locator(".stat").nth(1).locator(".value")
    expect(share).to_have_text(
        re.compile(r"^\d+(,\d+)?\u00a0%$")
    )  # a comma if there are decimals, and room before the %
    page.reload()
    expect(page.locator("h1")).to_contain_text(LANGUAGES["de"])


def test_reduced_motion_is_honoured(open_at: Open, site: str) -> None:
    page = open_at(site, reduced_motion="reduce").go("/", range=ALL)
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0
