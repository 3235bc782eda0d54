"""Numbers and names as people read them: one unit in a column, every statistic named, what exists offered."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browsing import PHONE, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.records import a_day, write
from tests.browser.served import served

ALL: Final = "all"
FAILED: Final = "upstream"
# Of each column of a table: the numbers of decimals that its cells have.
_DECIMALS: Final = """(table) => [...table.querySelectorAll("thead th")].map((head, column) => {
  const cells = [...table.querySelectorAll("tbody tr")].map((row) => row.children[column].textContent.trim());
  const texts = cells.filter((text) => /^[$<]*[0-9]/.test(text) && !/[kmbt]$/i.test(text));
  const found = (text) => `${(text.match(/[.](\\d+)/)?.[1] ?? "").length} ${text.replace(/[^a-z%$]/gi, "")}`;
  return [head.textContent.trim(), [...new Set(texts.map(found))]];
}).filter(([, kinds]) => kinds.length > 1)"""


def asked(site: str, path: str, **parameters: str) -> Any:
    with urlopen(f"{site}{path}?{urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)


def words(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


@pytest.mark.parametrize(("path", "by"), [("/models", ""), ("/clients", "user"), ("/streaming", "")])
def test_a_column_has_one_unit_and_one_number_of_decimals(visit: Visit, path: str, by: str) -> None:
    page = visit.go(path, range=ALL, **({"by": by} if by else {}))
    for table in page.locator(".compared table").all():
        assert table.evaluate(_DECIMALS) == []


def test_every_statistic_is_named(visit: Visit) -> None:
    page = visit.go("/streaming", range=ALL)
    heads = [text.strip(" ▾▴\n") for text in page.locator(".compared thead th").all_inner_texts()]
    assert "Longest gap, p95" in heads
    measured = [head for head in heads if re.search("token|speed|gap|time", head, re.IGNORECASE)]
    assert measured
    assert [head for head in measured if not re.search("median|p95", head)] == []


def test_a_sample_size_is_said_once(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    for tile in page.locator(".stat").all():
        value, beside = tile.locator(".value").inner_text(), tile.locator(".beside").inner_text()
        assert f"n = {value}" not in beside
    assert "n = " in page.locator(".stat").nth(2).locator(".beside").inner_text()  # of records with a first token


def test_cost_is_in_sight_beside_every_user(visit: Visit) -> None:
    page = visit.go("/clients", range=ALL, by="user")
    box = page.locator(".compared .scroll")
    expect(box.locator("th", has_text="Cost")).to_be_in_viewport()
    assert box.evaluate("(one) => one.scrollWidth - one.clientWidth") == 0
    page.set_viewport_size({"width": 1024, "height": 800})
    expect(box.locator("th", has_text="Tokens in")).to_be_hidden()
    assert box.evaluate("(one) => one.scrollWidth - one.clientWidth") == 0
    page.get_by_role("button", name="All columns").click()
    expect(box.locator("th", has_text="Tokens in")).to_be_attached()


def test_names_stay_beside_their_numbers_on_a_telephone(open_at: Open, site: str) -> None:
    page = open_at(site, viewport=PHONE).go("/clients", range=ALL, by="user")
    box, name = page.locator(".compared .scroll"), page.locator(".compared tbody th").first
    before = name.bounding_box()
    box.evaluate("(one) => { one.scrollLeft = 200; }")
    assert box.evaluate("(one) => one.scrollLeft") > 0
    after = name.bounding_box()
    assert before is not None
    assert after is not None
    assert before["x"] == after["x"]
    assert overflow_px(page) == 0


def test_tags_are_offered_and_filter_by_a_click(visit: Visit, site: str) -> None:
    page = visit.go("/clients", range=ALL)
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_role("group", name="Tag key").get_by_role("button", name="team")).to_have_attribute(
        "aria-pressed", "true"
    )
    table = page.locator(".compared tbody")
    expect(table.locator("tr")).to_have_count(3)
    told = asked(site, "/api/v1/query", metrics="requests", group_by="tag:team")["rows"]
    counts = {row["key"]["tag:team"]: row["values"]["requests"]["value"] for row in told}
    for name, many in counts.items():
        expect(table.locator("tr", has_text=name)).to_contain_text(f"{many:,}")
    table.get_by_role("button", name="docs", exact=True).click()
    expect(page.locator(".chip")).to_contain_text("team=docs")
    assert words(page)["tag"] == "team=docs"
    expect(table.locator("tr")).to_have_count(1)


def test_the_filter_offers_the_tags_that_there_are(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    page.get_by_role("button", name="Add filter").click()
    page.get_by_label("Field").select_option("tag")
    offered = page.locator("#filter-values option")
    expect(offered).to_have_count(4)
    values = offered.evaluate_all("(all) => all.map((one) => one.value)")
    assert set(values) == {"team=docs", "team=mobile", "team=search", "(none)"}


def test_without_tags_the_page_says_how_to_set_one(open_at: Open, tmp_path: Path) -> None:
    untagged = []
    for record in a_day(20, datetime.now(UTC)):
        record.tags = None
        untagged.append(record)
    write(tmp_path / "metrics.db", iter(untagged))
    with served(tmp_path) as address:
        page = open_at(address).go("/clients", range=ALL, by="tag")
        expect(page.locator(".card")).to_contain_text("x-llm-metrics-tag")


def test_error_rates_are_of_all_requests_whatever_error_is_selected(visit: Visit, site: str) -> None:
    page = visit.go("/errors", range=ALL, error_category=FAILED)
    card = page.locator(".card", has=page.get_by_role("heading", name="Error rate by model"))
    expect(card).to_contain_text("error filters do not narrow it")
    rows = asked(site, "/api/v1/query", metrics="error_rate", group_by="model", order="-error_rate")["rows"]
    said = card.locator(".ranked").get_attribute("aria-label") or ""
    for row in rows:
        share = row["values"]["error_rate"]["value"]
        assert 0 < share < 1
        assert re.search(rf"{re.escape(row['key']['model'])} {share * 100:.1f}".removesuffix(".0"), said)
    headings = page.locator(".card h2").all_inner_texts()
    assert sum("ategory" in heading for heading in headings) == 1


def test_a_record_is_told_in_a_sentence_with_names_units_and_links(visit: Visit, site: str) -> None:
    (item,) = asked(site, "/api/v1/requests", limit="1", outcome="completed", streaming="true")["items"]
    page = visit.go("/requests", range=ALL, id=item["request_id"])
    dialog = page.locator("dialog.detail")
    title = dialog.locator("h2")
    expect(title).to_contain_text(f"{item['model']} answered in ")
    expect(title).to_contain_text(
        f"{item['prompt_tokens']:,} tokens in, {item['completion_tokens']:,} out, for {item['user']}, $"
    )
    expect(dialog.locator(".waterfall li")).to_have_count(8)
    expect(dialog.locator(".facts")).to_contain_text("Time to first token")
    assert not re.search(r"[a-z]_[a-z]", " ".join(dialog.locator(".facts dt").all_inner_texts()))
    expect(dialog.get_by_text("body_complete_ms")).to_be_hidden()
    dialog.get_by_text("All fields").click()
    expect(dialog.get_by_text("body_complete_ms")).to_be_visible()
    dialog.locator(".facts").get_by_role("link", name=item["user"], exact=True).click()
    expect(page.locator(".chip")).to_contain_text(item["user"])
    assert "id" not in words(page)


def test_a_failed_record_says_why(visit: Visit, site: str) -> None:
    (item,) = asked(site, "/api/v1/requests", limit="1", error_type="rate_limit")["items"]
    page = visit.go("/requests", range=ALL, id=item["request_id"])
    expect(page.locator("dialog h2")).to_contain_text("rate_limit")
    expect(page.locator("dialog .facts")).to_contain_text("20 sec")  # how long the server asks to wait


def test_settings_are_found_and_read_with_units_and_links(visit: Visit) -> None:
    page = visit.go("/settings")
    size = page.locator(".setting", has_text="max_body_bytes")
    expect(size.locator("dd").first).to_have_text("64 MiB")
    expect(size.locator("dd").first).to_have_attribute("title", "67108864")
    assert "](" not in page.locator(".main").inner_text()
    page.get_by_role("searchbox", name="Search settings").fill("json body")
    expect(page.locator(".setting").first).to_contain_text("max_body_bytes")
    assert page.locator(".setting").count() < 6
    page.get_by_role("searchbox", name="Search settings").fill("xylophone")
    expect(page.get_by_text("No setting matches.")).to_be_visible()
    page.get_by_role("searchbox", name="Search settings").fill("")
    page.get_by_role("button", name="Changed only").click()
    names = page.locator(".setting dt").all_inner_texts()
    assert {"metrics_port", "db_path"} <= set(names)
    assert "max_body_bytes" not in names
