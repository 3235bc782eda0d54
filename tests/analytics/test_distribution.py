from datetime import timedelta

import msgspec
import pytest

from llm_metrics_proxy.analytics.distribution import SHOWN, DistributionQuery, Histogram, distribute
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.errors import QueryError
from tests.analytics.database import NOON, Database, a_record
from tests.engines.sqlite.watching import Watching

NOW = NOON + timedelta(hours=1)


def test_values_are_counted_in_bins_without_gaps_and_percentiles_stand_beside(database: Database) -> None:
    database.add(
        *(a_record(number, response_time_ms=value) for number, value in enumerate([100.0, 149.0, 500.0, None]))
    )
    found = distribute([RecordsSource(database.reader)], DistributionQuery(), NOW)
    assert (found.records, found.n, found.coverage, found.unit) == (4, 3, 0.75, "ms")
    assert (found.min, found.max, found.mean) == (100.0, 500.0, 749 / 3)
    assert [(one.start, one.end, one.n) for one in found.bins] == [
        (100.0, 150.0, 2),
        (150.0, 200.0, 0),
        (200.0, 300.0, 0),
        (300.0, 500.0, 0),
        (500.0, 700.0, 1),
    ]
    assert sum(one.share for one in found.bins) == pytest.approx(1)
    assert list(found.percentiles) == [f"p{percent}" for percent in SHOWN]
    assert found.percentiles["p50"] == 149.0
    assert msgspec.json.decode(msgspec.json.encode(found), type=Histogram) == found


def test_ends_without_bound_are_bins_too(database: Database) -> None:
    database.add(a_record(0, response_time_ms=-5.0), a_record(1, response_time_ms=1e12))
    bins = distribute([RecordsSource(database.reader)], DistributionQuery(), NOW).bins
    assert (bins[0].start, bins[0].end, bins[0].n) == (None, 0.0, 1)
    assert (bins[-1].start, bins[-1].end, bins[-1].n) == (1e9, None, 1)


def test_nothing_selected_has_no_bins_and_no_numbers(database: Database) -> None:
    database.add(a_record(0))
    query = DistributionQuery(metric="total_tokens", filter=RequestFilter(model="nobody"))
    found = distribute([RecordsSource(database.reader)], query, NOW)
    assert (found.records, found.n, found.coverage, found.bins) == (0, 0, None, [])
    assert {found.mean, found.min, found.max, *found.percentiles.values()} == {None}


def test_both_parts_are_asked_for_in_one_statement(database: Database) -> None:
    watching = Watching(database.reader)
    database.add(a_record())
    distribute([RecordsSource(watching)], DistributionQuery(), NOW)
    assert len([sql for sql, _ in watching.asked if "percentile_cont" in sql and "GROUP BY k0" in sql]) == 1


def test_what_has_no_values_is_refused() -> None:
    with pytest.raises(QueryError, match="there is no metric with a distribution 'success_rate'") as error:
        DistributionQuery(metric="success_rate")
    assert error.value.parameter == "metric"
