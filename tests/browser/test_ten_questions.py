"""The ten everyday questions, asked of a million records, each at most two clicks from the Overview.

What the page says is compared with SQL of our own over the database, which knows nothing of the program's questions.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import apsw
import pytest
from playwright.sync_api import Locator, Page, expect

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_record, a_row
from tests.browser.browsing import PATIENCE_MS
from tests.browser.conftest import Open
from tests.browser.million import MILLION, SLOW, add_limits_and_samples, make
from tests.browser.served import served
from tests.browser.test_ask import shown
from tests.browser.test_limits import ANNA, WHOLE, signed_in
from tests.servers import pages
from tests.servers.test_poller import page as text_page
from tests.servers.test_poller import serving
from tests.upstream.server import FakeUpstream

MOST_CLICKS: Final = 2
WHO: Final = "anna"
SPENDER: Final = "zoe"
TIMES: Final = {"K": 1e3, "M": 1e6, "B": 1e9}

BERLIN: Final = ZoneInfo("Europe/Berlin")  # the page's zone


class TwoClicks:
    """A page that begins at the Overview, and how often it was clicked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        expect(page.locator("h1")).to_have_text("Overview")

    def click(self, what: Locator) -> Page:
        self.clicks += 1
        assert self.clicks <= MOST_CLICKS
        what.click()
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        return self.page

    def view(self, name: str) -> Page:
        self.click(self.page.get_by_role("navigation").get_by_role("link", name=name, exact=True))
        expect(self.page.locator("h1")).to_contain_text(name)
        return self.page


class RecordsInSql:
    """SQL over the file."""

    def __init__(self, path: Path, now: datetime) -> None:
        self._database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        self.now = now

    def close(self) -> None:
        self._database.close()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self._database.execute(sql, values))

    def week(self, back: int = 0) -> tuple[str, str]:
        """From when to when the range of 7 days is, or the one so many before."""
        end = self.now + timedelta(seconds=1) - timedelta(days=7 * back)
        return stored_time(end - timedelta(days=7)), stored_time(end)


class SiteOfAMillion:
    """An address, and what is true there."""

    def __init__(self, address: str, oracle: RecordsInSql) -> None:
        self.address, self.oracle = address, oracle


@pytest.fixture(scope="module")
def site_of_a_million(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteOfAMillion]:
    """The metrics process over a million records, with all that the questions are about."""
    folder = tmp_path_factory.mktemp("million")
    path, now = folder / "metrics.db", datetime.now(UTC)
    make(path, now)
    add_limits_and_samples(path, now)
    store = SqliteStore(path)
    dear = a_record(timestamp=stored_time(now), user=SPENDER, model="claude-opus-4-5", backend_name="anthropic")
    store.append(IngestBatch(rows=[a_row(dear, cost_usd=50.0)]))  # of this month, whenever the test runs
    store.close()
    with (
        FakeUpstream(serving({"/metrics": text_page(pages.VLLM_V1)})) as vllm,
        closing(RecordsInSql(path, now)) as oracle,
    ):
        ((count,),) = oracle.rows("SELECT count(*) FROM completion_requests")
        assert count >= MILLION
        (folder / "c.toml").write_text(
            f'metrics_token = "{WHOLE}"\nserver_metrics_interval_s = 1\n'
            f'[[backends]]\nname = "a100"\nurl = {json.dumps(vllm.url)}\n'
            f'[[tokens]]\nname = "anna"\ntoken = "{ANNA}"\nuser = "{WHO}"\n'
            '[[budgets]]\nname = "people"\nusd = 40\nper = "month"\neach = "user"\n'
        )
        with served(folder, "--config", str(folder / "c.toml"), "--watch-interval-s", "1") as address:
            yield SiteOfAMillion(address, oracle)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Nothing here is decided by time, however busy the machine is."""
    expect.set_options(timeout=4 * PATIENCE_MS)
    yield
    expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def asked(open_at: Open, site_of_a_million: SiteOfAMillion) -> TwoClicks:
    return TwoClicks(signed_in(open_at, site_of_a_million.address, locale="en-US"))


@pytest.fixture
def oracle(site_of_a_million: SiteOfAMillion) -> RecordsInSql:
    return site_of_a_million.oracle


def number(text: str) -> tuple[float, float]:
    """What a figure says, and by how much its rounding may be off."""
    found = re.search(r"(\d[\d,]*)(\.\d+)?\s?([KMB%])?", text)
    assert found, text
    whole, rest, unit = found.groups()
    scale = 0.01 if unit == "%" else TIMES.get(unit or "", 1)
    digits = len(rest or ".") - 1
    return float(whole.replace(",", "") + (rest or "")) * scale, 0.51 * 10**-digits * scale


def assert_says(text: str, value: float, share: float = 0) -> None:
    """``share``: how much records that arrive or age while one looks may change it."""
    said, rounding = number(text)
    assert said == pytest.approx(value, abs=rounding + share * abs(value)), (text, value)


def test_1_which_session_burned_the_tokens(asked: TwoClicks, oracle: RecordsInSql) -> None:
    sums = oracle.rows(
        "SELECT session_id, sum(total_tokens), count(*) FROM completion_requests WHERE session_id NOT NULL "
        "AND session_id IN (SELECT session_id FROM completion_requests WHERE timestamp >= ? AND timestamp < ?) "
        "GROUP BY 1 ORDER BY 2 DESC LIMIT 3",
        *oracle.week(),
    )
    page = asked.view("Sessions")
    rows = page.locator(".sessions tbody tr")
    expect(rows.first).to_be_visible()
    assert rows.locator("th").all_inner_texts()[:3] == [name for name, _, _ in sums]
    asked.click(rows.first.get_by_role("button"))
    sentence = page.locator(".session-sentence")
    expect(sentence).to_contain_text("tokens. It cost $")
    said = re.search(r"used ([\d.,]+[KMB]?) tokens", sentence.inner_text()) or re.search(
        r"([\d.,]+[KMB]?) tokens", sentence.inner_text()
    )
    assert said
    assert_says(said[1], sums[0][1])


def test_2_what_is_my_prompt_cache_hit_rate_and_what_does_it_save(asked: TwoClicks, oracle: RecordsInSql) -> None:
    ((cached, prompts, _),) = oracle.rows(
        "SELECT sum(cached_tokens), sum(prompt_tokens) FILTER (WHERE cached_tokens NOT NULL), sum(cache_savings_usd) "
        "FROM completion_requests WHERE timestamp >= ? AND timestamp < ?",
        *oracle.week(),
    )
    tile = asked.page.locator(".stat", has_text="Cache hit rate").locator(".value")
    assert_says(tile.inner_text(), cached / prompts, 0.005)
    page = asked.view("Costs")
    ((saved,),) = oracle.rows(
        "SELECT sum(cache_savings_usd) FROM completion_requests WHERE timestamp >= ? AND timestamp < ?",
        *oracle.week(),
    )
    saved_tile = page.locator(".stat", has_text="Saved by caching").locator(".value")
    assert_says(saved_tile.inner_text(), saved, 0.005)


def test_3_did_something_get_slower(asked: TwoClicks, oracle: RecordsInSql) -> None:
    mean = (
        "SELECT avg(output_tokens_per_second) FROM completion_requests "
        "WHERE model = ? AND timestamp >= ? AND timestamp < ?"
    )
    ((after,),), ((before,),) = oracle.rows(mean, SLOW, *oracle.week()), oracle.rows(mean, SLOW, *oracle.week(1))
    told = asked.page.locator(".whatchanged .changes li", has_text=SLOW).first
    line = told.get_by_role("row").filter(has_text="Output speed")
    expect(line.locator(".up-bad")).to_contain_text("▼")
    assert_says(line.locator(".up-bad").inner_text(), 1 - after / before, 0.02)
    assert asked.clicks == 0


def test_4_the_slowest_dearest_and_longest_requests(asked: TwoClicks, oracle: RecordsInSql) -> None:
    page = asked.view("Requests")
    for name, column in (("Slowest", "response_time_ms"), ("Costliest", "cost_usd"), ("Longest", "completion_tokens")):
        asked.clicks = 1  # each of the three is the second click
        asked.click(page.get_by_role("button", name=name, exact=True))
        best = oracle.rows(
            f"SELECT {column} FROM completion_requests WHERE timestamp >= ? AND timestamp < ? "
            f"ORDER BY {column} DESC LIMIT 5",
            *oracle.week(),
        )
        heading = page.locator(f".requests [role=columnheader][title={column}]")
        expect(heading).to_have_attribute("aria-sort", "descending")
        # As numbers: JavaScript writes 50, Python 50.0.
        page.wait_for_function(
            "wanted => [...document.querySelectorAll(\".requests .body .tr[aria-rowindex='2'] > span\")]"
            ".some((one) => one.title !== '' && Number(one.title) === wanted)",
            arg=best[0][0],
        )
        assert [float(text) for text in shown(page, column)[:5]] == [value for (value,) in best]


def test_5_is_my_box_saturated(asked: TwoClicks) -> None:
    page = asked.view("Servers")
    box = page.get_by_role("region", name="a100", exact=True).first
    expect(box).to_contain_text("Saturated")
    expect(box).to_contain_text("Requests waited in its queue")


def test_6_what_does_the_same_work_cost_on_this_and_that(asked: TwoClicks, oracle: RecordsInSql) -> None:
    page = asked.view("Costs")
    table = page.locator(".card.compared")
    expect(table.get_by_role("row", name=SLOW)).to_be_visible()  # the view is a chunk that loads after the click
    headings = [re.sub(r"[^\w]+$", "", text) for text in table.locator("thead th").all_text_contents()]
    for model in (SLOW, "claude-opus-4-5", "gpt-4o-mini"):
        ((usd, many, tokens, sessions_usd, sessions),) = oracle.rows(
            "SELECT sum(cost_usd), count(cost_usd), sum(total_tokens) FILTER (WHERE cost_usd NOT NULL), "
            "sum(cost_usd) FILTER (WHERE session_id NOT NULL), "
            "count(DISTINCT session_id) FILTER (WHERE cost_usd NOT NULL) "
            "FROM completion_requests WHERE model = ? AND timestamp >= ? AND timestamp < ?",
            model, *oracle.week(),
        )  # fmt: skip
        row = table.get_by_role("row", name=model)
        cells = dict(zip(headings, row.locator("th, td").all_text_contents(), strict=True))
        assert_says(cells["Per request"], usd / many, 0.02)
        assert_says(cells["Per million tokens"], usd / tokens * 1e6, 0.02)
        if sessions:
            assert_says(cells["Per session"], sessions_usd / sessions, 0.02)
        assert ("≈" in cells["Per request"]) == (model == SLOW)


def test_7_who_is_about_to_spend_too_much(asked: TwoClicks, oracle: RecordsInSql) -> None:
    month = stored_time(oracle.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    ((spent,),) = oracle.rows(
        'SELECT sum(cost_usd) FROM completion_requests WHERE "user" = ? AND timestamp >= ?', SPENDER, month
    )
    near = asked.page.locator(".near").get_by_role("link").filter(has_text=f"people, {SPENDER}")
    page = asked.click(near)
    row = page.get_by_role("group", name="Budgets").get_by_role("table").get_by_role("row", name=SPENDER)
    expect(row).to_contain_text("of $40")
    expect(row).to_contain_text("Exceeded")
    dollars = re.search(r"\$([\d,.]+) of \$40", row.inner_text().replace("\n", " "))
    assert dollars, row.inner_text()
    assert_says(dollars[1], spent)


def test_8_my_own_usage(open_at: Open, site_of_a_million: SiteOfAMillion) -> None:
    oracle = site_of_a_million.oracle
    own = TwoClicks(signed_in(open_at, site_of_a_million.address, ANNA, locale="en-US"))
    ((many,),) = oracle.rows(
        'SELECT count(*) FROM completion_requests WHERE "user" = ? AND timestamp >= ? AND timestamp < ?',
        WHO, *oracle.week(),
    )  # fmt: skip
    expect(own.page.locator(".scope-note")).to_contain_text(f"user={WHO}")
    assert_says(own.page.locator(".stats .stat .value").first.inner_text(), many, 0.005)
    assert own.clicks == 0


def test_9_how_close_am_i_to_my_subscriptions_limit(asked: TwoClicks) -> None:
    page = asked.view("Limits & budgets")
    five = page.get_by_role("region", name="5h window")
    expect(five).to_contain_text("40% left")
    expect(five).to_contain_text("per hour")
    expect(page.get_by_role("region", name="7d window")).to_contain_text(re.compile(r"63(\.\d)?% left"))


def test_10_tokens_per_day_per_user_for_seven_days(asked: TwoClicks, oracle: RecordsInSql) -> None:
    page = asked.click(asked.page.get_by_role("link", name="Tokens per day by user"))
    card = page.get_by_role("region", name="Tokens over time")
    expect(card.locator("canvas")).to_be_visible()
    # The answer is there; the numbers of the picture are read where readers of screens do.
    card.get_by_label("Tokens over time: ").click()
    card.get_by_role("button", name="Show as table").click()
    names = card.locator("thead th").all_inner_texts()
    rows = [row.locator("th, td").all_inner_texts() for row in card.locator("tbody tr").all()]
    start = (oracle.now.astimezone(BERLIN) - timedelta(days=2)).date()  # two rows above today's
    for place in (1, 2):
        ((tokens,),) = oracle.rows(
            'SELECT sum(total_tokens) FROM completion_requests WHERE "user" = ? AND timestamp >= ? AND timestamp < ?',
            names[place], f"{start - timedelta(days=1)}T23", f"{start}T23",  # a day of Berlin, in winter
        )  # fmt: skip
        assert_says(rows[-3][place], tokens, 1e-5)  # the table has six digits
