"""Explore and the parts of charts: comparing, dividing, hiding, reading as tables; rankings; the year in days."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from llm_metrics_proxy.record import RequestRecord
from tests.browser.browsing import NARROW, PHONE, THEMES, Visit, overflow_px, sideways
from tests.browser.conftest import Open
from tests.browser.records import MODELS, a_day, write
from tests.browser.served import served
from tests.browser.test_looks import AXE, RULES

SHAPES: Final = ("line", "bar", "ranking", "heatmap", "matrix", "year", "histogram")
LONG: Final = "an-organisation-with-a-long-name/its-model-with-a-longer-name-70b-instruct-awq-int4"
COMPARE: Final = "Compare with the previous period"
MANY: Final = 600


def some_days(now: datetime) -> Iterator[RequestRecord]:
    """Three days, one a month ago, and a model whose name has no room on a telephone."""
    for back in (30, 2, 1, 0):
        for number, record in enumerate(a_day(MANY, now - timedelta(days=back), seed=back + 1)):
            yield replace(record, model=LONG) if number % 9 == 0 else record


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a metrics process over them."""
    folder = tmp_path_factory.mktemp("days")
    write(folder / "metrics.db", some_days(datetime.now(UTC)))
    with served(folder) as address:
        yield address


@pytest.fixture
def visit(open_at: Open, days: str) -> Visit:
    return open_at(days)


def words(page: Page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(page.url).query).items()}


def as_table(page: Page) -> None:
    page.locator(".main .card .menu > summary").first.click()
    page.get_by_role("button", name="Show as table").click()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_compares_by_groups_or_says_why_not(visit: Visit, shape: str) -> None:
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    page = visit.go("/explore", by="model", compare="true", **{"as": shape})
    box = page.get_by_label(COMPARE)
    compared = [url for url in asked if "/api/" in url and "compare=true" in url]
    if shape == "year":
        expect(box).to_be_disabled()
        expect(page.locator(".explore-reasons")).to_contain_text("last twelve months")
        assert compared == []
        return
    expect(box).to_be_checked()
    assert compared
    if shape == "heatmap":
        expect(page.get_by_label("By", exact=True)).to_be_disabled()
        expect(page.locator(".explore-reasons")).to_contain_text("filter to see one value")
    if shape in {"heatmap", "matrix"}:
        expect(page.locator(".card h2").nth(1)).to_contain_text("before")
    elif shape == "ranking":
        expect(page.locator(".ranked .before").first).to_be_attached()
        expect(page.locator(".ranked .delta").first).to_be_visible()
    else:
        assert {model.name for model in MODELS} | {"before"} <= set(page.locator(".legend li").all_inner_texts())


def test_of_everything_there_is_no_range_before_and_the_page_says_so(visit: Visit) -> None:
    page = visit.go("/explore", range="all", compare="true")
    expect(page.get_by_label(COMPARE)).to_be_disabled()
    expect(page.locator(".explore-reasons")).to_contain_text("has no range before it")


def test_a_histogram_is_named_after_what_it_shows_and_divided(visit: Visit) -> None:
    page = visit.go("/explore", by="model", metric="response_time_ms.p95", **{"as": "histogram"})
    expect(page.locator(".card h2")).to_have_text("Response time by Model · Histogram")
    expect(page.locator(".legend li")).to_have_count(len(MODELS) + 1)
    visit.go("/explore", metric="requests", **{"as": "histogram"})
    expect(page.locator(".main .card")).to_contain_text("choose a time or a speed")


def test_the_legend_hides_series_by_keyboard_while_answers_are_renewed(visit: Visit) -> None:
    page = visit.go("/explore", by="model")
    first = page.locator(".legend button").first
    first.focus()
    page.keyboard.press("Enter")
    expect(first).to_have_attribute("aria-pressed", "false")
    with page.expect_response(lambda response: "/api/v1/query" in response.url and "group_by=time" in response.url):
        page.get_by_label("Time step").select_option("hour")
    visit.settled()
    expect(page.locator('.legend button[aria-pressed="false"]')).to_have_count(1)
    page.keyboard.press("Space")
    expect(page.locator('.legend button[aria-pressed="false"]')).to_have_count(0)


def test_names_are_words_tags_are_offered_and_two_dimensions_divide(visit: Visit) -> None:
    page = visit.go("/explore", metric="total_tokens", **{"as": "ranking"})
    for label in ("Metric", "By"):
        texts = page.get_by_label(label, exact=True).locator("option").all_inner_texts()
        assert [text for text in texts if "_" in text] == []
    page.get_by_label("By", exact=True).select_option(label="Tag: team")
    page.get_by_label("And", exact=True).select_option("model")
    visit.settled()
    expect(page.locator(".card h2")).to_have_text("Tokens by Tag: team · Model")
    expect(page.locator(".ranked li").first).to_contain_text(" · ")
    assert (words(page)["by"], words(page)["and"]) == ("tag:team", "model")
    page.reload()
    visit.settled()
    expect(page.get_by_label("And", exact=True)).to_have_value("model")


def test_a_log_scale_is_kept_in_the_link_and_refused_where_it_would_lie(visit: Visit) -> None:
    page = visit.go("/explore", by="model")
    page.get_by_label("Log scale").check()
    assert words(page)["log"] == "true"
    page.reload()
    visit.settled()
    expect(page.get_by_label("Log scale")).to_be_checked()
    page.get_by_role("button", name="Bars").click()
    expect(page.get_by_label("Log scale")).to_be_disabled()
    expect(page.locator(".explore-reasons")).to_contain_text("No log scale here")


def test_a_chart_as_table_has_the_page_s_clock_units_in_its_head_and_aligned_values(visit: Visit) -> None:
    page = visit.go("/", tz="Asia/Tokyo")
    card = page.get_by_role("region", name="Response time", exact=True)
    card.locator(".menu > summary").click()
    with page.expect_download() as saved:
        card.get_by_role("button", name="Save CSV").click()
    assert "+09:00," in saved.value.path().read_text()
    card.locator(".menu > summary").click()
    card.get_by_role("button", name="Show as table").click()
    expect(card.locator("thead th .unit").first).to_have_text(re.compile("sec"))
    first = card.locator("tbody tr").first.locator("td").first
    clock = page.evaluate(
        "(now) => new Date(now).toLocaleTimeString('en-GB', { timeZone: 'Asia/Tokyo', hour: '2-digit' })",
        (datetime.now(UTC) - timedelta(hours=24)).timestamp() * 1000,
    )
    expect(first).to_contain_text(f"{clock}:")
    expect(first).to_contain_text("(incomplete)")
    cells = card.locator("tbody td.number:nth-child(2)").all_inner_texts()
    assert len({len(text.partition(".")[2]) for text in cells if text[0].isdigit()}) == 1


def test_the_table_of_others_has_a_name_and_says_why_a_percentile_of_them_is_not_known(visit: Visit) -> None:
    page = visit.go("/explore", by="user", metric="response_time_ms.p95", **{"as": "ranking"})
    as_table(page)
    expect(page.locator("tbody tr").last).to_contain_text("others")
    expect(page.locator(".hint.below")).to_contain_text("percentile of all others")
    visit.go("/explore", by="user", metric="total_tokens", **{"as": "ranking"})
    as_table(page)
    expect(page.locator("tbody tr").last.locator("td").last).to_have_text(re.compile(r"^[\d,]+$"))
    expect(page.locator(".hint.below")).to_have_count(0)


def test_a_ranking_has_every_name_and_value_and_cuts_a_name_only_where_there_is_no_room(visit: Visit) -> None:
    page = visit.go("/models")
    card = page.locator(".card", has=page.get_by_role("heading", name="Tokens", exact=True))
    rows = card.locator(".ranked li")
    expect(rows).to_have_count(len(MODELS) + 1)
    for row in rows.all():
        expect(row.locator(".number")).to_have_text(re.compile(r"\d"))
    is_cut = "(one) => one.scrollWidth > one.clientWidth"
    short = rows.filter(has_text=MODELS[0].name).locator(".name")
    assert not short.evaluate(is_cut)
    page.set_viewport_size(PHONE)
    long = rows.filter(has_text=LONG)
    assert long.locator(".name").evaluate(is_cut)
    expect(long.locator(".ranked-name")).to_have_attribute("title", LONG)
    assert not short.evaluate(is_cut)
    rows.filter(has_text=MODELS[0].name).get_by_role("button").press("Enter")
    expect(page.locator(".chip")).to_contain_text(MODELS[0].name)


def test_a_year_shows_every_day_and_opens_one_by_keyboard(visit: Visit) -> None:
    page = visit.go("/costs")
    year = page.get_by_role("slider")
    expect(year).to_have_attribute("aria-valuetext", re.compile(r": <?\$\d"))
    days = page.locator(".half-year i")
    assert 365 <= days.count() <= 371
    lit = page.locator(".half-year i:not(.l0)")
    assert 4 <= lit.count() <= 8  # four days of traffic, which may each lie on two dates
    year.focus()
    page.keyboard.press("ArrowUp")
    yesterday = datetime.now(UTC).astimezone().date() - timedelta(days=1)
    expect(page.locator(".year-foot output")).to_contain_text(str(yesterday.year))
    page.keyboard.press("Enter")
    visit.settled()
    start, _, end = words(page)["range"].partition("..")
    opened = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    assert opened in {timedelta(hours=23), timedelta(days=1), timedelta(hours=25)}


def test_a_year_s_weeks_begin_where_the_reader_s_do(open_at: Open, days: str) -> None:
    rows = {}
    for locale in ("en-GB", "en-US"):
        page = open_at(days, locale=locale).go("/costs")
        rows[locale] = page.locator(".half-year").first.locator(".weekday").all_inner_texts()
    assert rows == {"en-GB": ["Tue", "Thu", "Sat"], "en-US": ["Mon", "Wed", "Fri"]}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_fits_and_violates_no_rule_of_axe(open_at: Open, days: str, shape: str) -> None:
    visit = open_at(days, viewport=NARROW)
    page = visit.go("/explore", by="model", compare="true", **{"as": shape})
    assert overflow_px(page) == 0
    assert [one for one in sideways(page) if not one.startswith(("div.segments", "ul.legend"))] == []
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in THEMES:
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found] == []
