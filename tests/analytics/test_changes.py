"""What changed: false alarms keep to the stated rate, a planted change is found and named, a shift is called one."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import log
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.analytics.change_tables import SumsTables, in_blocks
from llm_metrics_proxy.analytics.changes import NO_PERIODS, NOTHING, TOO_FEW, Changes, ChangesQuery, what_changed
from llm_metrics_proxy.analytics.exact import ExactAggregates, ExactStats
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.source import QueryPlan, ResultGroup, SourceResult
from llm_metrics_proxy.analytics.sources import whole_span
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export.stream import ExportQuery, export
from tests.analytics import duck
from tests.analytics.database import NOON, Database, a_record, a_row

DAY = timedelta(days=1)
START, END = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
COLUMNS = ("time_to_first_token_ms", "response_time_ms", "output_tokens_per_second", "cost_usd")
Record = Mapping[str, Any]


class Memory:
    """``Records`` and ``Source`` of made-up records: thousands of periods in the time that a file takes for one."""

    name = "records"
    relative_error = 0.0
    us_per_record = 0.0

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    @contextmanager
    def moment(self) -> Iterator["Memory"]:
        yield self

    def sources(self) -> list["Memory"]:
        return [self]

    def span(self) -> tuple[datetime, datetime]:
        return START - DAY, END

    def can_answer(self, plan: QueryPlan) -> bool:
        return plan is not None

    is_worth_it = can_answer

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        return [self._of(plan) for plan in plans]

    def _of(self, plan: QueryPlan) -> SourceResult:
        starts = [bucket.start for bucket in plan.buckets]
        found: dict[tuple[Any, ...], list[Record]] = {}
        assert plan.start is not None
        assert plan.end is not None
        for record in self._records:
            if plan.start <= record["at"] < plan.end:
                block = sum(start <= record["at"] for start in starts) - 1
                key = (block, *(record.get(name) for name in plan.group_by[1:]))
                found.setdefault(key, []).append(record)
        return SourceResult([ResultGroup(key, _aggregates(of)) for key, of in found.items()], [])


def _aggregates(records: Sequence[Record]) -> ExactAggregates:
    failed = sum(bool(record.get("failed")) for record in records)
    counts = {"requests": len(records), "failed": failed, "succeeded": len(records) - failed}
    columns = {}
    for column in COLUMNS:
        values = [record[column] for record in records if column in record]
        columns[column] = ExactStats(len(values), sum(values) if values else None)
    return ExactAggregates(counts, columns)


Make = Callable[[random.Random, bool], Record]


def traffic(seed: int, make: Make, a_day: int = 2000) -> list[Record]:
    """Two days of records: ``make`` takes chance, and whether it is the later day."""
    dice = random.Random(seed)
    found: list[Record] = []
    for later in (False, True):
        for _ in range(a_day):
            at = START + DAY * (dice.random() - (0 if later else 1))
            found.append({"at": at, **make(dice, later)})
    return found


def request(dice: random.Random, model: str, slower: float = 1.0) -> dict[str, Any]:
    """One request. Who sends it, and how, does not depend on anything."""
    response = dice.lognormvariate(log(800 if model == "small" else 4000), 0.7) * slower
    return {
        "model": model,
        "backend_name": "b" + str(dice.randrange(2)),
        "app": dice.choice(("cli", "ide", "chat")),
        "api_key_id": "k" + str(dice.randrange(4)),
        "user": "u" + str(min(int(dice.expovariate(0.2)), 30)),
        "endpoint": "/v1/chat/completions",
        "origin": dice.choice((None, "web")),
        "streaming": int(dice.random() < 0.7),
        "response_time_ms": response,
        "time_to_first_token_ms": response * 0.2,
        "output_tokens_per_second": dice.gauss(60, 15),
        "cost_usd": response / 1e6,
        "failed": dice.random() < 0.02,
    }


def asked(records: Sequence[Record]) -> Changes:
    query = ChangesQuery(filter=RequestFilter(start=START, end=END), limit=20)
    return what_changed(Memory(records), query, END, lambda: 0.0)  # type: ignore[arg-type]


def unchanged(dice: random.Random, later: bool) -> Record:
    return request(dice, "small" if dice.random() < 0.6 else "large")


def test_without_any_change_false_alarms_keep_to_the_stated_rate() -> None:
    """5 % of 60 is 3; more than 8 happen once in two hundred times where the rate is exactly that."""
    assert sum(bool(asked(traffic(seed, unchanged, 700)).changes) for seed in range(60)) <= 8


def busy_hours(seed: int) -> list[Record]:
    """Nothing changed, but requests of one hour are fast or slow together."""
    dice = random.Random(seed)
    speeds = [dice.lognormvariate(0, 0.4) for _ in range(48)]
    found: list[Record] = []
    for record in traffic(seed, unchanged, 700):
        slower = speeds[int((record["at"] - (START - DAY)) / timedelta(hours=1))]
        found.append({**record, **{name: record[name] * slower for name in COLUMNS}})
    return found


def test_requests_that_wait_behind_each_other_are_no_change_either() -> None:
    assert sum(bool(asked(busy_hours(seed)).changes) for seed in range(40)) <= 6


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_change_of_one_model_is_found_and_named_once(seed: int) -> None:
    def make(dice: random.Random, later: bool) -> Record:
        model = dice.choice(("small", "large", "other"))
        return request(dice, model, 1.4 if later and model == "other" else 1.0)

    found = asked(traffic(seed, make, 3000))
    slower = [one for one in found.changes if one.metric == "response_time_ms.mean"]
    assert [(one.kind, one.segment, one.good) for one in slower] == [("change", {"model": "other"}, False)]
    assert slower[0].low < slower[0].change < slower[0].high
    assert 0.2 < slower[0].change < 0.7
    assert "model other" in slower[0].text
    assert not [one for one in found.changes if one.metric in {"error_rate", "output_tokens_per_second.mean"}]


def test_what_is_the_same_records_is_told_once() -> None:
    def make(dice: random.Random, later: bool) -> Record:
        model = dice.choice(("small", "large"))
        mine = {"app": f"app of {model}"}
        return {**request(dice, model, 1.5 if later and model == "large" else 1.0), **mine}

    found = [one for one in asked(traffic(1, make, 2500)).changes if one.metric == "response_time_ms.mean"]
    assert [(one.segment, one.same) for one in found] == [({"model": "large"}, [{"app": "app of large"}])]


@pytest.mark.parametrize("seed", range(5))
def test_a_shift_of_traffic_is_called_that_and_no_change(seed: int) -> None:
    def make(dice: random.Random, later: bool) -> Record:
        return request(dice, "large" if dice.random() < (0.6 if later else 0.3) else "small")

    found = asked(traffic(seed, make, 3000))
    assert {one.kind for one in found.changes} == {"shift"}
    (slower,) = [one for one in found.changes if one.metric == "response_time_ms.mean"]
    assert (slower.by, slower.segment) == ("model", {})
    assert {part.value for part in slower.parts} == {"small", "large"}
    assert "by a shift of traffic alone" in slower.text


def test_everything_slower_is_told_of_all_requests() -> None:
    def make(dice: random.Random, later: bool) -> Record:
        return request(dice, dice.choice(("small", "large")), 1.5 if later else 1.0)

    found = [one for one in asked(traffic(3, make, 3000)).changes if one.metric == "response_time_ms.mean"]
    assert [(one.kind, one.segment) for one in found] == [("change", {})]


def test_failures_of_one_backend_are_named_with_newcombes_interval() -> None:
    def make(dice: random.Random, later: bool) -> Record:
        record = request(dice, "small")
        often = 0.15 if later and record["backend_name"] == "b1" else 0.01
        return {**record, "failed": dice.random() < often}

    (told,) = [one for one in asked(traffic(4, make)).changes if one.metric == "error_rate"]
    assert told.segment == {"backend_name": "b1"}
    assert -1 <= told.low < told.change < told.high <= 1


def test_the_parts_of_every_movement_add_up() -> None:
    def make(dice: random.Random, later: bool) -> Record:
        return request(dice, "new" if later and dice.random() < 0.3 else dice.choice(("small", "large")), 1.1)

    overall = asked(traffic(5, make)).overall
    assert {one.metric for one in overall} >= {"response_time_ms.mean", "error_rate", "cost_per_request_usd"}
    for one in overall:
        assert one.within is not None
        assert one.mix is not None
        assert one.within + one.mix == pytest.approx(one.after - one.before, abs=1e-9 + 1e-9 * one.before)


def test_too_little_to_say_is_said() -> None:
    assert asked(traffic(1, unchanged, 10)).text == TOO_FEW
    assert asked([]).text == NO_PERIODS
    assert asked(traffic(1, unchanged, 300)).text in {NOTHING, "1 thing changed."}


def test_it_needs_a_start() -> None:
    with pytest.raises(QueryError, match="when this one starts"):
        ChangesQuery()


def test_of_a_file_it_finds_the_model_that_got_slower(database: Database) -> None:
    records = []
    for hour in range(48):
        for at in range(20):
            model = "a" if at % 2 else "b"
            slower = 2.0 if model == "b" and hour >= 24 else 1.0
            took = (1000 + (at * 37 + hour * 11) % 200) * slower
            records.append(
                a_row(a_record((hour - 24) * 3600 + at * 100, model=model, response_time_ms=took), cost_usd=0.001)
            )
    database.append(records)
    query = ChangesQuery(filter=RequestFilter(start=NOON, end=NOON + DAY))
    found = what_changed(database.records, query, NOON + DAY, lambda: 0.0)
    assert [(one.metric, one.segment, one.n_before, one.n) for one in found.changes] == [
        ("response_time_ms.mean", {"model": "b"}, 240, 240)
    ]
    assert (found.requests_before, found.requests, found.block_s) == (480, 480, 3600)


def test_when_time_is_over_it_says_what_it_did_not_look_at(database: Database) -> None:
    database.add(*(a_record(second) for second in range(-50, 50)))
    ticks = iter(range(0, 1000, 2))
    query = ChangesQuery(filter=RequestFilter(start=NOON, end=NOON + timedelta(seconds=60)))
    found = what_changed(database.records, query, NOON + DAY, lambda: float(next(ticks)))
    assert found.not_looked_at[-1] == "streaming"
    assert "model" not in found.not_looked_at


SUMS_OF = {"response_time_ms.mean": "response_time_ms", "time_to_first_token_ms.mean": "time_to_first_token_ms",
           "cost_per_request_usd": "cost_usd"}  # fmt: skip


def by_duckdb(exported: Path, name: str) -> dict[tuple[Any, ...], tuple[int, float]]:
    """Records and sums by number, segment, period and hour."""
    table = duck.table_of_parquet(exported)
    hours = f"floor((epoch(ts) - epoch(TIMESTAMPTZ '{NOON.isoformat()}')) / 3600)::INT"
    columns = ", ".join(f"count({one}), sum({one})" for one in SUMS_OF.values())
    ended = "count(*) FILTER (success IN (0, 1)), count(*) FILTER (success = 0)"
    shown = f'"{name}", {hours} AS hour, {columns}, {ended}'
    rows = table.execute(f"SELECT {shown} FROM records WHERE hour BETWEEN -24 AND 23 GROUP BY ALL").fetchall()
    found = {}
    for key, hour, *values in rows:
        for number, n, total in zip((*SUMS_OF, "error_rate"), values[::2], values[1::2], strict=True):
            if n:
                found[number, key, hour >= 0, hour % 24] = (n, total)
    return found


@pytest.mark.parametrize("name", ["model", "user", "app", "origin"])
def test_sums_are_those_of_duckdb_over_the_export(database: Database, tmp_path: Path, name: str) -> None:
    dice = random.Random(name)
    database.append(
        a_row(
            a_record(
                dice.uniform(-1.1, 1.1) * 86_400,
                model=dice.choice((None, "a", "b")), user=dice.choice((None, "x", "y", "z")),
                app=dice.choice((None, "cli")), origin=dice.choice((None, "web")),
                success=dice.choice((True, True, False)), response_time_ms=dice.lognormvariate(6, 1),
                time_to_first_token_ms=dice.choice((None, 5.5, 100.25)),
            ),
            cost_usd=dice.choice((None, 0.25)),
        )
        for _ in range(800)
    )  # fmt: skip
    exported = tmp_path / "records.parquet"
    exported.write_bytes(b"".join(piece.data for piece in export(database.records, ExportQuery(format="parquet"))))
    sources = database.records.sources()
    query = ChangesQuery(filter=RequestFilter(start=NOON, end=NOON + DAY))
    planned = plan(query.as_query(), PlanningContext(whole_span(sources), NOON + DAY))
    assert planned.previous is not None
    table = SumsTables(sources, in_blocks(planned.previous, planned.current), lambda: 9.0).by(name)
    assert table is not None
    ours = {
        (number, key, later, block): part
        for number, keys in table.numbers.items()
        for key, sums in keys.items()
        for later, parts in zip((False, True), sums, strict=True)
        for block, part in enumerate(parts)
        if part[0] and number != "output_tokens_per_second.mean"
    }
    theirs = by_duckdb(exported, name)
    assert ours.keys() == theirs.keys()
    for key, (n, total) in theirs.items():
        assert ours[key][0] == n, key
        assert ours[key][1] == pytest.approx(total, rel=1e-12), key
