"""What it costs, and what prompt caches do: asked in two clicks from the Overview."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.browser.browsing import NARROW, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.served import served

DAYS = 330


def a_row(at: datetime, number: int) -> tuple[SqlValue, ...]:
    """Three models: one of a provider that caches, one that reports no cache, and one on a machine of one's own."""
    kind = ("claude", "gpt", "llama")[number % 3]
    prompt, answer = 4_000 + 37 * (number % 90), 300 + 11 * (number % 40)
    kinds: dict[str, dict[str, Any]] = {
        "claude": {"model": "claude-sonnet-4-5", "backend_name": "anthropic", "cached_tokens": prompt * 3 // 4,
                   "cache_write_tokens": prompt // 20, "app": "claude-code"},
        "gpt": {"model": "gpt-4o-mini", "backend_name": "openai", "app": "support-bot"},
        "llama": {"model": "llama3.3:70b", "backend_name": "my-box", "app": "nightly-batch",
                  "cached_tokens": prompt // 2},
    }  # fmt: skip
    facts = kinds[kind]
    if kind == "claude" and number % 12 == 0:
        facts |= {"cache_miss_reason": "tools_changed", "cache_missed_tokens": 900, "cached_tokens": 0}
    record = RequestRecord(
        request_id=f"{number:032x}", timestamp=stored_time(at), method="POST", endpoint="/v1/chat/completions",
        dialect="openai_chat", backend="127.0.0.1:8000", prompt_tokens=prompt, completion_tokens=answer,
        total_tokens=prompt + answer, usage_source="reported", success=True, outcome="completed", status_code=200,
        response_time_ms=4_000.0, request_sent_ms=2.0, session_id=f"s{number // 20}", user=f"user-{number % 7}",
        **facts,
    )  # fmt: skip
    cached, written = record.cached_tokens or 0, record.cache_write_tokens or 0
    if kind == "claude":
        cost = ((prompt - cached - written) * 3 + cached * 0.3 + written * 3.75 + answer * 15) / 1e6
        return to_row(record, (cost, "genai_prices", (cached * 2.7 - written * 0.75) / 1e6), 900.0)
    if kind == "gpt":
        return to_row(record, ((prompt * 0.15 + answer * 0.6) / 1e6, "price_table", None), 700.0)
    return to_row(record, (3_998.0 * 0.4 / 3_600_000, "own_hardware", None), 3_998.0)


def write(path: Path, end: datetime, days: int = DAYS, each: int = 30) -> None:
    """So many days of requests that end now, more from month to month."""
    store = SqliteStore(path)
    rows, number = [], 0
    for day in range(days):
        for one in range(max(3, each * (day + 60) // (days + 60))):
            number += 1
            rows.append(a_row(end - timedelta(days=days - 1 - day, seconds=900 * (one + 1)), number))
    store.append(IngestBatch(rows=rows))
    store.close()


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("costs")
    write(folder / "metrics.db", datetime.now(UTC))
    with served(folder) as address:
        yield address


def test_what_is_my_prompt_cache_hit_rate_and_what_does_it_save(open_at: Open, priced: str) -> None:
    page = open_at(priced).go("/")
    tile = page.locator(".stat", has_text="Cache hit rate")
    expect(tile.locator(".value")).to_contain_text("%")
    page.get_by_role("navigation").get_by_role("link", name="Costs").click()  # the only click
    saved = page.locator(".stat", has_text="Saved by caching")
    expect(saved.locator(".value")).to_contain_text("$")
    cache = page.locator(".card.cache")
    expect(cache).to_contain_text("Read from the cache")
    expect(cache.get_by_role("row", name="tools changed")).to_be_visible()


def test_what_does_the_same_work_cost_on_one_model_and_another(open_at: Open, priced: str) -> None:
    page = open_at(priced).go("/")
    page.get_by_role("navigation").get_by_role("link", name="Costs").click()
    table = page.locator(".card.compared")
    for heading in ("Per request", "Per million tokens", "Per session"):
        expect(table.get_by_role("columnheader", name=heading)).to_be_visible()
    expect(table.get_by_role("row", name="claude-sonnet-4-5")).to_contain_text("$")
    expect(table.get_by_role("row", name="llama3.3:70b")).to_contain_text("≈ $")  # an estimate
    expect(table.get_by_role("row", name="gpt-4o-mini")).not_to_contain_text("≈")
    page.get_by_role("button", name="Backend", exact=True).click()
    expect(table.get_by_role("row", name="my-box")).to_contain_text("≈ $")


def test_months_are_shown_with_what_this_one_will_cost(open_at: Open, priced: str) -> None:
    page = open_at(priced).go("/costs")
    months = page.locator(".months li")
    expect(months).to_have_count(12)
    assert "expected $" in (months.last.get_attribute("title") or "")
    expect(page.locator(".stat", has_text=re.compile("Expected at month.s end")).locator(".value")).to_contain_text(
        "≈ $"
    )


def test_where_nothing_has_a_price_it_says_how_to_set_one(open_at: Open, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "metrics.db")
    at = datetime.now(UTC) - timedelta(minutes=5)
    record = RequestRecord(request_id="1" * 32, timestamp=stored_time(at), method="POST", endpoint="/v1/models")
    store.append(IngestBatch(rows=[to_row(record)]))
    store.close()
    with served(tmp_path) as address:
        page = open_at(address).go("/costs")
        expect(page.locator(".no-prices")).to_contain_text("usd_per_hour = 0.40")


def test_a_narrow_page_is_not_scrolled_sideways(open_at: Open, priced: str) -> None:
    visit: Visit = open_at(priced, viewport=NARROW)
    assert overflow_px(visit.go("/costs")) == 0
