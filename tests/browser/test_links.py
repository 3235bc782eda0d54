"""Everything that is chosen stands in the link, and a link shows another reader the same."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.browser.browsing import Visit
from tests.browser.conftest import Open

ALL: Final = "all"


def words(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def state(page: Page) -> dict[str, object]:
    """What a reader sees of the choices that were made, and the numbers that they lead to."""
    return {
        "view": page.locator("h1").inner_text(),
        "chips": page.locator(".chip").all_inner_texts(),
        "pressed": page.locator(".main [aria-pressed=true]").all_inner_texts(),
        "selected": [
            page.locator(".main select").nth(n).input_value() for n in range(page.locator(".main select").count())
        ],
        "columns": page.locator("[role=columnheader]").all_inner_texts(),
        "legend": page.locator(".legend li").all_inner_texts(),
    }


def test_a_filter_is_a_chip_and_a_word_of_the_link(visit: Visit) -> None:
    page = visit.go("/models", range=ALL)
    page.get_by_role("button", name="qwen2.5-coder:32b").first.click()
    expect(page.locator(".chip")).to_contain_text("qwen2.5-coder:32b")
    expect(page.locator(".compared").first.locator("tbody tr")).to_have_count(1)
    assert words(page)["model"] == "qwen2.5-coder:32b"
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("h1")).to_have_text("Overview")
    expect(page.locator(".chip")).to_contain_text("qwen2.5-coder:32b")
    page.get_by_role("button", name="Remove filter Model").click()
    expect(page.locator(".chip")).to_have_count(0)
    page.go_back()
    expect(page.locator(".chip")).to_contain_text("qwen2.5-coder:32b")


def test_a_filter_is_added_by_hand(visit: Visit) -> None:
    page = visit.go("/errors", range=ALL)
    page.get_by_role("button", name="Add filter").click()
    page.get_by_label("Field").select_option("origin")
    page.get_by_label("Value").fill("nightly-batch")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_contain_text("nightly-batch")
    assert words(page) == {"range": ALL, "origin": "nightly-batch", "tz": "Europe/Berlin"}


def test_a_link_shows_what_its_sender_saw(open_at: Open, site: str) -> None:
    sender = open_at(site).go("/explore", range=ALL)
    sender.locator(".main label select").nth(0).select_option("requests")
    sender.locator(".main label select").nth(1).select_option("model")
    sender.get_by_role("button", name="Bars").click()
    expect(sender.locator(".legend li")).to_have_count(4)
    receiver = open_at(site)
    receiver.page.goto(sender.url)
    page = receiver.settled()
    expect(page.locator(".legend li")).to_have_count(4)
    assert state(page) == state(sender)


def test_a_link_to_a_list_of_requests_has_its_columns_and_its_record(open_at: Open, site: str) -> None:
    sender = open_at(site).go("/requests", range=ALL, outcome="completed")
    sender.get_by_text("Columns").click()
    sender.get_by_label("user", exact=False).first.check()
    sender.get_by_label("Origin").uncheck()
    sender.keyboard.press("Escape")
    sender.locator(".requests .body .link").first.click()
    expect(sender.locator("dialog .facts")).to_be_visible()
    receiver = open_at(site)
    receiver.page.goto(sender.url)
    expect(receiver.page.locator("[role=columnheader]").first).to_be_visible()
    expect(receiver.page.locator("dialog .facts")).to_be_visible()
    expect(receiver.page.locator("dialog .waterfall li").first).to_be_visible()
    assert state(receiver.page) == state(sender)
    assert receiver.page.locator("dialog h2").inner_text() == sender.locator("dialog h2").inner_text()
    receiver.page.keyboard.press("Escape")
    expect(receiver.page.locator("dialog .facts")).to_have_count(0)
    assert "id" not in words(receiver.page)


def test_dragging_over_a_chart_chooses_the_range(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    chart = page.locator(".chart").first
    box = chart.bounding_box()
    assert box is not None
    # the axis is drawn some frames after the page: a drag before that selects nothing, so drag until one does
    for _attempt in range(20):
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 100)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 110, steps=6)
        page.mouse.up()
        if ".." in words(page)["range"]:
            break
        page.wait_for_timeout(250)
    start, end = words(page)["range"].split("..")
    assert start < end
    expect(page.locator(".segments").first.locator("button").last).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name=re.compile("Live"))).to_have_count(0)  # what is over does not move


def test_a_range_of_ones_own_is_in_the_page_s_zone(visit: Visit) -> None:
    page = visit.go("/", range=ALL, tz="Asia/Tokyo")
    page.get_by_role("button", name="Custom…").click()
    page.get_by_label("From").fill("2026-03-01T09:00")
    page.get_by_label("To", exact=True).fill("2026-03-01T21:00")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".stat .value").first).to_have_text("0")
    assert words(page)["range"] == "2026-03-01T00:00:00.000Z..2026-03-01T12:00:00.000Z"


def test_a_link_shows_its_reader_the_buckets_of_its_sender(open_at: Open, site: str) -> None:
    sender = open_at(site, timezone_id="America/Sao_Paulo").go(
        "/explore", range=ALL, metric="requests", **{"as": "bar"}
    )
    assert words(sender)["tz"] == "America/Sao_Paulo"
    sender.get_by_role("link", name="Overview").click()
    expect(sender.locator("h1")).to_have_text("Overview")
    assert words(sender)["tz"] == "America/Sao_Paulo"
    visit = open_at(site, timezone_id="America/New_York")
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    visit.page.goto(sender.url)
    reader = visit.settled()
    expect(reader.get_by_label("Time zone")).to_have_value("America/Sao_Paulo")
    zones = {parse_qs(urlsplit(url).query)["timezone"][0] for url in asked if "timezone=" in url}
    assert zones == {"America/Sao_Paulo"}
    reader.go_back()
    assert not reader.url.startswith(site)  # the zone was no step of its own


def test_a_zone_that_only_the_system_knows_is_utc(open_at: Open, site: str) -> None:
    visit = open_at(site)
    visit.page.add_init_script(
        "const real = Intl.DateTimeFormat.prototype.resolvedOptions; Intl.DateTimeFormat.prototype.resolvedOptions ="
        " function () { return { ...real.call(this), timeZone: 'Etc/Unknown' }; };"
    )
    assert words(visit.go("/", range=ALL))["tz"] == "UTC"


def test_nonsense_in_a_link_is_left_out(visit: Visit) -> None:
    page = visit.go("/", range="yesterday", tz="Mars/Olympus", columns="x" * 600)
    expect(page.locator(".segments [aria-pressed=true]")).to_contain_text("24h")
