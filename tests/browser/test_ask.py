"""Which requests are the slowest, dearest, longest? By any column, and by what a small editor or a link selects."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.browsing import PHONE, Visit
from tests.browser.conftest import Open

ALL = "all"


def words(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query, keep_blank_values=True).items()}


def first_page(page: Page, address: str, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.request.get(f"{address}/api/v1/requests", params=parameters).json()["items"]
    return found


def shown(page: Page, name: str) -> list[str]:
    """The cells of a column, from above, as far as they are drawn."""
    index = page.locator(".requests [role=columnheader]").evaluate_all(
        "(all, name) => all.findIndex((one) => one.title === name)", name
    )
    found: list[str] = page.locator(f".requests .body .tr > span:nth-child({index + 1})").evaluate_all(
        "all => all.map((one) => [one.parentElement.ariaRowIndex, one.title]).sort((a, b) => a[0] - b[0])"
        ".map((one) => one[1])"
    )
    return found


def test_the_slowest_dearest_and_longest_are_two_clicks_from_the_overview(visit: Visit, site: str) -> None:
    page = visit.go("/", range=ALL)
    for name, column in (("Slowest", "response_time_ms"), ("Costliest", "cost_usd"), ("Longest", "completion_tokens")):
        page.get_by_role("link", name="Overview").click()
        page.get_by_role("link", name="Requests").click()
        page.get_by_role("button", name=name, exact=True).click()
        heading = page.locator(f".requests [role=columnheader][title={column}]")
        expect(heading).to_have_attribute("aria-sort", "descending")
        best = first_page(page, site, order=f"-{column}", limit=5)
        expect(page.locator(".requests .body .tr[aria-rowindex='2']")).to_contain_text(best[0]["model"])
        page.wait_for_function(
            "wanted => document.querySelector(\".requests .body .tr[aria-rowindex='2']\").innerHTML.includes(wanted)",
            arg=f'title="{best[0][column]}"',
        )
        assert shown(page, column)[:5] == [str(one[column]) for one in best]
        assert words(page)["order"] == f"-{column}"


def test_a_click_on_a_heading_sorts_and_another_one_turns_it_around(visit: Visit) -> None:
    page = visit.go("/requests", range=ALL)
    heading = page.locator(".requests [role=columnheader][title=prompt_tokens]")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(heading).to_contain_text("↓")
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(".bar [role=status]")).to_contain_text("Sorted by Tokens in")
    page.get_by_role("button", name="Newest").click()
    expect(page.locator(".requests [role=columnheader][title=timestamp]")).to_have_attribute("aria-sort", "descending")
    assert "order" not in words(page)


def test_the_editor_makes_conditions_and_a_link_has_them(open_at: Open, site: str) -> None:
    page = open_at(site).go("/requests", range=ALL)
    page.get_by_role("button", name="Add filter").click()
    page.get_by_label("Comparison").select_option("!=")
    page.get_by_label("Value").fill("gpt-4o-mini, mistral-small:24b")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_text(re.compile("Model.*≠.*gpt-4o-mini, mistral-small:24b"))
    page.get_by_role("button", name="Add filter").click()
    page.get_by_label("Field").select_option("response_time_ms")
    page.get_by_label("Value").fill("soon")
    page.keyboard.press("Enter")
    expect(page.locator(".filter-editor [role=alert]")).to_have_text("This is no value for Response time.")
    page.get_by_label("Value").fill("5000")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_role("button", name="Change the filter Response time").click()
    page.get_by_label("Value").fill("20000")
    page.keyboard.press("Enter")
    expect(page.locator(".chip").nth(1)).to_contain_text("20 sec")
    assert words(page) == {
        "range": ALL, "tz": "Europe/Berlin", "model!": "gpt-4o-mini,mistral-small:24b", "response_time_ms>20000": "",
    }  # fmt: skip
    receiver = open_at(site)
    receiver.page.goto(page.url)
    receiver.settled()
    expect(receiver.page.locator(".chip")).to_have_count(2)
    wanted = first_page(page, site, where="model!=gpt-4o-mini,mistral-small:24b", limit=1000)
    slow = [one for one in wanted if (one["response_time_ms"] or 0) > 20000]
    assert slow
    cells = shown(receiver.page, "model")
    assert {"gpt-4o-mini", "mistral-small:24b"}.isdisjoint(cells)
    assert all(float(each) > 20000 for each in shown(receiver.page, "response_time_ms"))


def test_what_has_no_parameter_of_its_own_in_a_link_is_a_chip_too(visit: Visit) -> None:
    page = visit.go("/models", range=ALL)
    page.goto(f"{page.url}&user_agent!=(none)&retries<1&success=true")
    expect(page.locator(".chip")).to_have_count(3)
    page.get_by_role("button", name="Clear all").click()
    expect(page.locator(".chip")).to_have_count(0)


def test_a_phone_has_the_duration_in_sight(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE).go("/requests", range=ALL)
    box = page.locator(".requests [role=columnheader][title=response_time_ms]").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
