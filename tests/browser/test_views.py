"""Every view shows the numbers that the API gives, in its place, and asks nobody else."""

import json
import re
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from tests.browser.browsing import Visit
from tests.browser.conftest import Open

MODELS: Final = {"llama3.1:8b-instruct", "qwen2.5-coder:32b", "mistral-small:24b", "gpt-4o-mini"}
ALL: Final = "all"  # a range in which nothing moves while a test runs


def asked(site: str, path: str, **parameters: str) -> Any:
    with urlopen(f"{site}{path}?{urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)


def test_the_overview_answers_without_a_click(visit: Visit, site: str) -> None:
    page = visit.go("/", range=ALL)
    row = asked(site, "/api/v1/query", metrics="requests,success_rate")["rows"][0]["values"]
    figure = page.locator(".stat", has_text="Requests").locator(".value")
    expect(figure).to_have_text(f"{row['requests']['value']:,}")
    shown = page.locator(".stat", has_text="Success rate").locator(".value").inner_text()
    assert abs(float(shown.removesuffix("%")) / 100 - row["success_rate"]["value"]) < 0.001
    expect(page.get_by_text("All is well")).to_be_visible()
    for label in ("First token, median", "Response time, p95", "Output speed", "Tokens", "Cost"):
        stat = page.locator(".stat", has_text=label).first
        expect(stat.locator(".value")).to_contain_text(re.compile(r"\d"))
        expect(stat.locator(".beside")).to_contain_text("n = ")
        expect(stat.locator("polyline").first).to_be_attached()
    assert page.locator(".legend").first.inner_text().split("\n")[0] == "completed"


def test_models_stand_side_by_side_and_sort(visit: Visit) -> None:
    page = visit.go("/models", range=ALL)
    rows = page.locator(".compared").first.locator("tbody tr")
    expect(rows).to_have_count(len(MODELS))
    assert {rows.nth(index).locator("th").inner_text() for index in range(len(MODELS))} == MODELS
    page.get_by_role("button", name=re.compile("^First token, median")).first.click()
    expect(page.locator("th[aria-sort=descending]").first).to_contain_text("First token, median")
    expect(rows.first).to_contain_text("gpt-4o-mini")  # its first token takes longest


def test_errors_say_what_to_do(visit: Visit, site: str) -> None:
    page = visit.go("/errors", range=ALL)
    told = asked(site, "/api/v1/errors")
    expect(page.locator(".lead strong")).to_have_text(str(told["errors"]))
    first = told["types"][0]
    row = page.get_by_role("row", name=f"{first['category']}/{first['type']}").first
    expect(row).to_contain_text(first["advice"])


def test_every_drawing_can_be_read_as_a_table_and_saved(visit: Visit) -> None:
    page = visit.go("/", range=ALL)
    card = page.locator(".card", has=page.get_by_role("heading", name="Requests by outcome"))
    card.get_by_label("Requests by outcome: more").click()
    with page.expect_download() as saved:
        card.get_by_role("button", name="Save CSV").click()
    text = saved.value.path().read_bytes().decode()
    assert text.startswith("time,outcome,requests\r\n")
    assert text.count("\r\n") > 20
    card.get_by_label("Requests by outcome: more").click()
    with page.expect_download() as picture:
        card.get_by_role("button", name="Save image").click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    card.get_by_label("Requests by outcome: more").click()
    card.get_by_role("button", name="Show as table").click()
    expect(card.locator("tbody tr").first).to_be_visible()


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        ("line", "response_time_ms.p95"),
        ("bar", "requests"),
        ("heatmap", "requests"),
        ("histogram", "response_time_ms.p50"),
        ("ranking", "total_tokens"),
    ],
)
def test_explore_draws_any_metric_in_any_way(visit: Visit, kind: str, metric: str) -> None:
    by = {} if kind in {"histogram", "heatmap"} else {"by": "model"}
    page = visit.go("/explore", range=ALL, metric=metric, **{"as": kind}, **by)
    expect(page.locator(".ranked li" if kind == "ranking" else "canvas").first).to_be_visible()
    if kind in {"line", "bar"}:
        assert {text.strip() for text in page.locator(".legend li").all_inner_texts()} == MODELS


def test_the_first_view_does_not_jump(open_at: Open, site: str) -> None:
    visit = open_at(site)
    visit.page.add_init_script(
        "globalThis.shifted = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
        " if (!entry.hadRecentInput) shifted += entry.value; }).observe({ type: 'layout-shift', buffered: true });"
    )
    page = visit.go("/", range=ALL)
    assert page.evaluate("globalThis.shifted") < 0.1  # what the Core Web Vitals call good
