"""What is left of servers' limits is in the view of clients, if a server said so."""

from typing import Final

from playwright.sync_api import Route, expect

from tests.browser.browsing import THEMES, Visit
from tests.browser.test_looks import AXE, LANGUAGES, RULES

_QUOTA: Final = {
    "backend": "api.example.com:443", "api_key_id": "0123456789ab", "left": None, "window_s": None,
    "measured_at": "2026-11-29T12:00:00.500Z", "resets_at": "2026-11-29T12:01:00.500Z",
}  # fmt: skip
QUOTAS: Final = [
    {**_QUOTA, "limit": "requests", "left": 20, "left_ratio": 0.4},
    {**_QUOTA, "limit": "tokens", "left": 900, "left_ratio": None, "resets_at": None},
    {**_QUOTA, "limit": "primary", "left_ratio": 0.875, "window_s": 18000.0},
    {**_QUOTA, "limit": "secondary", "left_ratio": 0.0, "window_s": 604800.0, "api_key_id": ""},
]


def _answered(route: Route) -> None:
    route.fulfill(json={"app_version": "4.5.0", "quotas": QUOTAS})


def test_the_view_of_clients_has_what_is_left_and_violates_no_rule_of_axe(visit: Visit) -> None:
    visit.page.route("**/api/v1/quotas", _answered)
    page = visit.go("/clients", range="all", by="app")
    table = page.get_by_role("group", name="Left of servers' limits").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(5)
    expect(table.get_by_role("row").nth(3)).to_contain_text("87.5%")
    expect(table.get_by_role("row").nth(3)).to_contain_text("5 hrs")
    expect(table.get_by_role("row").nth(1)).to_contain_text("20")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in THEMES:
        page.get_by_label("Theme").select_option(theme)
        expect(page.locator(f"html[data-theme={theme}]")).to_be_visible()
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [one["id"] for one in found] == []
    for language in LANGUAGES:
        page.locator("select:has(option[value=ja])").select_option(language)
        expect(page.locator(f"html[lang={language}]")).to_be_visible()
        expect(page.locator("table.watched tbody tr")).to_have_count(4)


def test_where_no_server_said_so_there_is_no_card(visit: Visit) -> None:
    page = visit.go("/clients", range="all")
    expect(page.get_by_role("group", name="Left of servers' limits")).to_have_count(0)
