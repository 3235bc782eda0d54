"""Budgets over real records: periods of any calendar, sums as DuckDB has them, messages told once over restarts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.export import ExportQuery, export
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.storage.alert_store import AlertStore
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.watch.budgets import measure_budget, period_of
from llm_metrics_proxy.watch.rules import About, BudgetRule
from llm_metrics_proxy.watch.watcher import Rules, Watcher
from tests.analytics.duck import table_of
from tests.journal_parts import an_ended_record
from tests.watch.conftest import BEGAN, Site
from tests.watch.test_budget_states import a_budget
from tests.watch.test_rules import a_rule
from tests.watch.test_webhook import Receiver

HOUR = 3600.0
DAY = 86_400.0


def spend(site: Site, seconds: float, usd: float | None, **facts: Any) -> None:
    site._count += 1
    record = an_ended_record(site._count, **facts)
    record.timestamp = (BEGAN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    site.store.append(IngestBatch(rows=[to_row(record, (usd, None if usd is None else "price_table", None))]))


def test_a_day_is_that_of_the_budgets_zone() -> None:
    budget = a_budget(timezone="America/New_York")
    start, end = period_of(budget, datetime(2026, 3, 8, 18, tzinfo=UTC))  # clocks go forward that day
    assert (start, end) == (datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 3, 9, 4, tzinfo=UTC))


@pytest.mark.parametrize(("first", "day"), [("monday", 23), ("sunday", 29), ("saturday", 28)])
def test_a_week_begins_on_the_day_that_the_budget_says(first: str, day: int) -> None:
    start, end = period_of(a_budget(per="week", week_begins=first), datetime(2026, 11, 29, 12, tzinfo=UTC))
    assert (start.day, end - start) == (day, timedelta(days=7))


ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/St_Johns",
)


@given(
    st.datetimes(datetime(1988, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(ZONES),
    st.sampled_from(["day", "week", "month"]),
    st.sampled_from(["monday", "sunday", "saturday"]),
)
def test_every_moment_is_in_its_period_and_periods_join(now: datetime, zone: str, per: str, first: str) -> None:
    budget = a_budget(per=per, timezone=zone, week_begins=first)
    start, end = period_of(budget, now)
    assert start <= now < end
    assert period_of(budget, start)[0] == start
    assert period_of(budget, end)[0] == end
    local = start.astimezone(ZoneInfo(zone))
    assert local.day == 1 or per != "month"


def test_who_is_about_to_spend_too_much_comes_first(site: Site) -> None:
    for seconds, usd, user in (
        (0, 2.0, "anna"),
        (60, 7.0, "ben"),
        (120, 0.1, "cleo"),
        (180, None, "ben"),
        (-DAY, 50.0, "anna"),
    ):
        spend(site, seconds, usd, user=user)
    now = BEGAN + timedelta(hours=1)
    report, spending = measure_budget(site.sources, a_budget(each="user"), now)
    assert [(one.value, one.spent, one.state, one.requests, one.counted) for one in report.standings] == [
        ("ben", 7.0, "projected", 2, 1), ("anna", 2.0, "ok", 1, 1), ("cleo", 0.1, "ok", 1, 1),
    ]  # fmt: skip
    assert (report.period_start, report.period_end) == ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    assert spending["ben"].projected == pytest.approx(7 + 7 / (8 * HOUR) * 11 * HOUR)


def test_a_budget_is_about_the_requests_that_it_names(site: Site) -> None:
    spend(site, 0, 2.0, user="anna", total_tokens=50)
    spend(site, 1, 3.0, user="ben", total_tokens=70)
    now = BEGAN + timedelta(hours=1)
    usd, _ = measure_budget(site.sources, a_budget(about=About(user="anna")), now)
    tokens, _ = measure_budget(site.sources, a_budget(unit="tokens", limit=100.0), now)
    nobody, _ = measure_budget(site.sources, a_budget(about=About(user="nobody")), now)
    assert [one.spent for one in usd.standings] == [2.0]
    assert [(one.value, one.spent, one.state) for one in tokens.standings] == [(None, 120.0, "over")]
    assert [(one.spent, one.requests) for one in nobody.standings] == [(0.0, 0)]


def test_sums_are_those_of_duckdb_over_the_export(site: Site) -> None:
    for number in range(300):
        usd = None if number % 7 == 0 else number * 0.01
        spend(site, -40 * DAY + number * 3.3 * HOUR, usd, user=f"u{number % 4}", total_tokens=number)
    pieces = export(site.records, ExportQuery(format="jsonl"))
    facts = [json.loads(line) for line in b"".join(piece.data for piece in pieces).splitlines()]
    duck = table_of(facts)
    for per, cut in (("day", "day"), ("week", "week"), ("month", "month")):
        for unit, column in (("USD", "cost_usd"), ("tokens", "total_tokens")):
            now = BEGAN + timedelta(hours=0.5)
            report, _ = measure_budget(
                site.sources, a_budget(per=per, unit=unit, each="user", timezone="Europe/Berlin"), now
            )
            sql = (
                f'SELECT "user", coalesce(sum({column}), 0), count(*), count({column}) FROM records '
                f"WHERE ts >= timezone('Europe/Berlin', date_trunc('{cut}', timezone('Europe/Berlin', "
                "?::TIMESTAMPTZ))) "
                "AND ts <= ? GROUP BY 1"
            )
            wanted = {user: rest for user, *rest in duck.execute(sql, [now, now]).fetchall()}
            assert {one.value for one in report.standings} == set(wanted)
            for one in report.standings:
                spent, requests, counted = wanted[one.value]
                assert one.spent == pytest.approx(spent)
                assert (one.requests, one.counted) == (requests, counted)


class Desk:
    """A watcher whose steps the test takes itself; ``again`` is the next program on the same file."""

    def __init__(self, site: Site, *budgets: BudgetRule) -> None:
        self.site, self.budgets = site, budgets
        self.memory = AlertStore(site.path)
        rules = Rules((), (a_rule(),), budgets)
        self.watcher = Watcher(site.records, lambda: self.memory, rules, clock=site.clock)

    def look(self, now: float) -> None:
        self.site.now = now
        for rule in self.budgets:
            assert self.watcher.watch_budget(rule, self.memory)
        self.watcher.watch_alert(a_rule(), self.memory)
        self.watcher.deliver(self.memory)

    def again(self) -> "Desk":
        self.memory.close()
        return Desk(self.site, *self.budgets)


def test_a_restart_and_a_new_month_neither_forget_nor_repeat(site: Site) -> None:
    with Receiver(200).running() as receiver:
        desk = Desk(site, a_budget(per="month", each="user", webhook=receiver.url, warn_projected=False))
        spend(site, 0, 6.0, user="anna")
        desk.look(60)
        desk = desk.again()
        desk.look(120)
        spend(site, 180, 3.0, user="anna")
        spend(site, 180, 20.0, user="ben")
        desk.look(240)
        desk = desk.again()
        desk.look(31 * DAY)  # the first of April
        spend(site, 31 * DAY, 5.0, user="anna")
        desk = desk.again()
        desk.look(31 * DAY + 60)
        desk.look(31 * DAY + 120)
        stored = desk.memory.states()
        desk.memory.close()
    assert [(each["value"], each["level"], each["period_start"][:10]) for each in receiver.got] == [
        ("anna", 0.5, "2026-03-01"), ("ben", 1.0, "2026-03-01"), ("anna", 0.8, "2026-03-01"),
        ("anna", 0.5, "2026-04-01"),
    ]  # fmt: skip
    assert receiver.got[0]["budget"] == "b"
    assert set(stored) == {"a", "budget:b:=anna"}  # ben used nothing in April
    assert len({each["id"] for each in receiver.got}) == 4


def test_a_projection_is_told_with_its_number(site: Site) -> None:
    with Receiver(200).running() as receiver:
        desk = Desk(site, a_budget(webhook=receiver.url))
        spend(site, 0, 4.5)
        desk.look(60)
        desk.look(120)
        desk.memory.close()
    (message,) = receiver.got
    assert (message["state"], message["spent"], message["value"]) == ("projected", 4.5, None)
    assert message["projected"] > 10


def test_who_does_not_lead_shows_budgets_and_tells_nobody(site: Site) -> None:
    with Receiver(200).running() as receiver:
        budget = a_budget(webhook=receiver.url)
        memory = AlertStore(site.path)
        watcher = Watcher(site.records, lambda: memory, Rules((), (), (budget,)), clock=site.clock, leads=lambda: False)
        spend(site, 0, 40.0)
        site.now = 60
        assert watcher.watch_budget(budget, memory)
        watcher.deliver(memory)
        assert watcher.budgets()[0].standings[0].state == "over"
        assert memory.states() == {}
        memory.close()
    assert receiver.got == []


def test_trouble_is_shown_and_changes_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path / "m.db")
    budget = a_budget()
    memory = AlertStore(site.path)
    watcher = Watcher(site.records, lambda: memory, Rules((), (), (budget,)), clock=site.clock)
    spend(site, 0, 6.0)
    site.now = 60
    assert watcher.watch_budget(budget, memory)
    site.reader.close()
    site.store.close()
    memory.close()
    site.path.rename(tmp_path / "away.db")
    assert not watcher.watch_budget(budget, memory)
    (report,) = watcher.budgets()
    assert report.error
    assert report.standings[0].spent == 6.0


def test_a_budget_that_was_taken_out_leaves_nothing(site: Site) -> None:
    desk = Desk(site, a_budget(), a_budget(name="c"))
    spend(site, 0, 6.0)
    desk.look(60)
    assert set(desk.memory.states()) == {"a", "budget:b:all", "budget:c:all"}
    desk.memory.close()
    desk = Desk(site, a_budget(name="c"))
    spend(site, 0, 3.0)
    desk.look(120)
    assert set(desk.memory.states()) == {"a", "budget:c:all"}
    desk.memory.close()


def test_a_bug_in_a_budget_is_told_once(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    memory = AlertStore(site.path)
    broken = a_budget(per="fortnight")
    watcher = Watcher(site.records, lambda: memory, Rules((), (), (broken,)), clock=site.clock)
    assert watcher.watch_budget(broken, memory)
    assert watcher.watch_budget(broken, memory)
    memory.close()
    assert "a bug: KeyError" in str(watcher.budgets()[0].error)
    assert [record.message for record in caplog.records].count("budget b met a bug") == 1
