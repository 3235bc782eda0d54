from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.sources import source_for, whole_span
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON, Database, a_record
from tests.examples import examples

HOUR = timedelta(hours=1)
NOW = NOON + 9 * HOUR


def test_the_answer_names_version_range_source_and_what_its_columns_mean(database: Database) -> None:
    database.add(a_record(), app_version="1.0.0")
    database.append([])
    query = Query(metrics=("requests", "response_time_ms.p95"), group_by=("model",), timezone="Asia/Kathmandu")
    answer = ask([RecordsSource(database.reader)], query, NOW)
    assert (answer.app_version, answer.query, answer.timezone) == (APP_VERSION, query, "Asia/Kathmandu")
    assert (answer.start, answer.end, answer.previous_start, answer.bucket) == (NOON, NOW, None, None)
    assert (answer.source, answer.relative_error) == ("records", 0.0)
    assert answer.records == 1
    assert [(column.name, column.kind, column.unit) for column in answer.columns] == [
        ("model", "dimension", ""),
        ("requests", "metric", "requests"),
        ("response_time_ms.p95", "metric", "ms"),
    ]


def test_without_comparison_no_number_speaks_of_a_period_before(database: Database) -> None:
    database.add(a_record())
    answer = ask([RecordsSource(database.reader)], Query(), NOW)
    assert msgspec.json.decode(msgspec.json.encode(answer.rows)) == [
        {"key": {}, "values": {"requests": {"value": 1, "n": 1, "coverage": 1.0}}, "merged": 0}
    ]
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Result) == answer


def test_an_empty_database_is_answered(database: Database) -> None:
    source = RecordsSource(database.reader)
    answer = ask([source], Query(group_by=("time", "model"), compare=False), NOW)
    assert (answer.start, answer.end, answer.records, answer.rows) == (None, None, 0, [])
    asked = RequestFilter(start=NOON)
    compared = ask([source], Query(group_by=("time",), bucket="hour", filter=asked, compare=True), NOW)
    assert len(compared.rows) == 9
    assert {row.values["requests"].previous for row in compared.rows} == {0}


@examples(30)
@given(
    st.lists(st.tuples(st.integers(-7200, 7199), st.sampled_from("ab"), st.booleans()), max_size=30),
    st.sampled_from([(), ("time",), ("model",), ("time", "model"), ("streaming", "hour_of_day")]),
)
def test_the_period_before_has_the_numbers_that_it_has_when_asked_for_alone(
    records: list[tuple[int, str, bool]], group_by: tuple[str, ...]
) -> None:
    def shape(start: datetime, *, compare: bool) -> Query:
        return Query(
            metrics=("requests", "success_rate", "response_time_ms.p50", "requests_per_second", "concurrency_max"),
            group_by=group_by,
            filter=RequestFilter(start=start, end=start + 2 * HOUR),
            bucket="15m" if "time" in group_by else None,
            compare=compare,
        )

    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        database.add(*(a_record(s, model=m, success=ok, response_time_ms=100.0 * (s % 7 + 1)) for s, m, ok in records))
        source = RecordsSource(database.reader)
        compared = ask([source], shape(NOON, compare=True), NOW)
        alone, before = (ask([source], shape(start, compare=False), NOW) for start in (NOON, NOON - 2 * HOUR))
        database.close()
    assert compared.previous_start == NOON - 2 * HOUR
    shift = 2 if "hour_of_day" not in group_by else 0

    def by_key(result: Result, hours: int) -> dict[tuple[Any, ...], Any]:
        found = {}
        for row in result.rows:
            key = dict(row.key)
            if isinstance(key.get("time"), str):
                moment = datetime.fromisoformat(str(key["time"])) + hours * HOUR
                key["time"] = moment.isoformat()
            found[tuple(key.values())] = row.values
        return found

    of_both, of_now, of_before = by_key(compared, 0), by_key(alone, 0), by_key(before, shift)
    for key, values in of_both.items():
        for name, one in values.items():
            now = of_now[key][name].value if key in of_now else (0 if name.startswith("requests") else None)
            then = of_before[key][name].value if key in of_before else (0 if name.startswith("requests") else None)
            if name == "requests_per_second" and "hour_of_day" in group_by:
                continue  # the two periods have different hours of the day
            assert (one.value, one.previous) == (now, then)
            if one.previous and one.value is not None:
                assert one.change == pytest.approx((one.value - one.previous) / abs(one.previous))
            else:
                assert one.change is None


class Unable(RecordsSource):
    """A source that knows only totals."""

    name = "rollups"

    def can_answer(self, plan: Any) -> bool:
        return not plan.group_by


def test_the_first_source_that_can_answer_all_of_it_is_asked(database: Database) -> None:
    database.add(a_record(0), a_record(1))
    sources = [Unable(database.reader), RecordsSource(database.reader)]
    assert ask(sources, Query(), NOW).source == "rollups"
    assert ask(sources, Query(group_by=("model",)), NOW).source == "records"
    able, unable = (plan(Query(group_by=names), PlanningContext(None, NOW)).current for names in ((), ("model",)))
    assert source_for(sources, (able, able)) is sources[0]
    assert source_for(sources, (able, unable)) is sources[1]
    assert source_for(sources[:1], (unable,)) is sources[0]
    assert whole_span(sources) == (NOON, NOON + timedelta(seconds=2))
    assert whole_span([]) is None
