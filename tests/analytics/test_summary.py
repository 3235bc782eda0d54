import statistics
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS, KEPT_TOKEN_SUMS
from llm_metrics_proxy.analytics.summary import MAX_ERROR_TYPES, summarise
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import COLUMNS, DERIVED, PRICED, RAW_COLUMNS, Outcome
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.engines.sqlite.watching import Watching
from tests.examples import examples

EVERYTHING = RequestFilter()
durations = st.none() | st.floats(0, 1e9) | st.sampled_from([1.0, 2.0])
tokens = st.none() | st.integers(0, 2**40)
facts = st.fixed_dictionaries(
    {
        "seconds": st.integers(0, 100),
        "model": st.sampled_from(["a", "b", None]),
        "is_streaming": st.booleans(),
        "outcome": st.sampled_from(list(Outcome)).map(str),
        "error_type": st.sampled_from([None, "quota", "internal"]),
        "app_version": st.sampled_from(["1.0.0", "2.0.0"]),
        **{metric.name: durations for metric in DISTRIBUTIONS},
        **{metric.name: tokens for metric in KEPT_TOKEN_SUMS},
    }
)


def row_of(fact: dict[str, Any]) -> tuple[Any, ...]:
    given_facts = {name: value for name, value in fact.items() if name in RAW_COLUMNS}
    record = a_record(fact["seconds"], success=fact["outcome"] == "completed", **given_facts)
    return (
        *(getattr(record, name) for name in RAW_COLUMNS),
        *(fact.get(column.name) for column in DERIVED),
        fact["app_version"],
        *(fact.get(column.name) for column in PRICED),
    )


def percentile(values: list[float], fraction: float) -> float:
    """Linear between the two nearest, as ``statistics.quantiles`` has it for ``inclusive``."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(fraction * 100) - 1]


@examples(40)
@given(
    st.lists(facts, max_size=25), st.sampled_from([EVERYTHING, RequestFilter(model="a"), RequestFilter(streaming=True)])
)
def test_every_number_equals_that_of_plain_python(rows: list[dict[str, Any]], selection: RequestFilter) -> None:
    with TemporaryDirectory() as folder:
        database = Database(Path(folder))
        database.append(row_of(fact) for fact in rows)
        answer = summarise(database.records, selection)
        database.close()
    chosen = [
        fact
        for fact in rows
        if selection.model in (None, fact["model"]) and selection.streaming in (None, fact["is_streaming"])
    ]
    assert answer.requests == len(chosen)
    assert answer.streamed == sum(fact["is_streaming"] for fact in chosen)
    assert answer.streamed + answer.not_streamed == answer.requests
    completed = sum(fact["outcome"] == "completed" for fact in chosen)
    assert answer.succeeded == completed
    assert answer.success_rate == (completed / len(chosen) if chosen else None)
    assert answer.outcomes == Counter(fact["outcome"] for fact in chosen)
    assert answer.app_versions == Counter(fact["app_version"] for fact in chosen)
    assert answer.succeeded + answer.failed == answer.requests
    assert {(error.outcome, error.error_type): error.n for error in answer.errors} == Counter(
        (fact["outcome"], fact["error_type"])
        for fact in chosen
        if fact["outcome"] != "completed" or fact["error_type"] is not None
    )
    for metric in KEPT_TOKEN_SUMS:
        known = [fact[metric.name] for fact in chosen if fact[metric.name] is not None]
        assert answer.tokens[metric.name].n == len(known)
        assert answer.tokens[metric.name].sum == (sum(known) if known else None)
    for metric in DISTRIBUTIONS:
        found = answer.distributions[metric.name]
        values = [fact[metric.name] for fact in chosen if fact[metric.name] is not None]
        assert found.n == len(values)
        if not values:
            assert found.mean is found.p50 is found.p95 is found.p99 is None
            continue
        assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
        for fraction, result in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
            assert result == pytest.approx(percentile(values, fraction), rel=1e-9)


def test_cost_is_that_of_the_records_whose_cost_is_known(database: Database) -> None:
    database.append(a_row(a_record(number), cost_usd=cost) for number, cost in enumerate((None, 0.25, 0.0, 0.5)))
    cost = summarise(database.records, EVERYTHING).cost_usd
    assert (cost.n, cost.sum) == (3, 0.75)
    none = summarise(database.records, RequestFilter(model="nobody")).cost_usd
    assert (none.n, none.sum) == (0, None)


def test_nothing_selected_gives_nulls_and_no_zero_that_looks_like_a_measurement(database: Database) -> None:
    database.add(a_record())
    answer = summarise(database.records, RequestFilter(model="nobody"))
    assert (answer.requests, answer.success_rate) == (0, None)
    assert answer.first_timestamp is answer.last_timestamp is None
    assert answer.outcomes == answer.app_versions == {}
    assert all(one.n == 0 and one.mean is None and one.p99 is None for one in answer.distributions.values())
    assert all(one.n == 0 and one.sum is None for one in answer.tokens.values())


def test_the_answer_names_its_version_its_filter_and_the_range_it_covers(database: Database) -> None:
    database.add(a_record(1), a_record(3), a_record(99, model="other"))
    selection = RequestFilter(model="llama3.1:8b", start=NOON)
    answer = summarise(database.records, selection)
    assert answer.app_version == APP_VERSION
    assert answer.filter == selection
    assert answer.first_timestamp == "2026-03-01T12:00:01.000000Z"
    assert answer.last_timestamp == "2026-03-01T12:00:03.000000Z"


def test_every_metric_has_its_unit(database: Database) -> None:
    answer = summarise(database.records, EVERYTHING)
    assert {name: one.unit for name, one in answer.distributions.items()} == {
        metric.name: metric.unit for metric in DISTRIBUTIONS
    }
    assert set(answer.distributions) < set(COLUMNS)


def test_error_types_that_servers_make_up_cannot_swell_the_answer(database: Database) -> None:
    def failed(error_type: str, times: int) -> list[Any]:
        return [a_record(success=False, outcome="upstream_error", error_type=error_type) for _ in range(times)]

    database.add(*failed("common", 3), *(record for number in range(150) for record in failed(f"e{number}", 1)))
    answer = summarise(database.records, EVERYTHING)
    assert len(answer.errors) == MAX_ERROR_TYPES
    assert (answer.errors[0].error_type, answer.errors[0].n) == ("common", 3)
    assert answer.further_errors == 150 - (MAX_ERROR_TYPES - 1)


def test_all_numbers_are_from_one_statement_and_so_from_one_snapshot(database: Database) -> None:
    watching = Watching(database.reader)
    database.add(a_record())
    summarise(open_records(watching), EVERYTHING)
    assert len([sql for sql, _ in watching.asked if "count(*)" in sql]) == 1  # others ask where it begins


def test_caches_are_summed_over_the_records_that_tell_of_them(database: Database) -> None:
    facts: tuple[dict[str, Any], ...] = (
        {"prompt_tokens": 100, "cached_tokens": 60},
        {"prompt_tokens": 300, "cached_tokens": 0},
        {"prompt_tokens": 100, "cached_tokens": 10**9},  # more than there was to read: it says nothing
    )
    database.append(a_row(a_record(number, **fact)) for number, fact in enumerate(facts))
    cache = summarise(database.records, EVERYTHING).cache
    assert (cache.n, cache.hit_ratio) == (2, 0.15)
    assert cache.coverage == pytest.approx(2 / 3)
    assert (cache.savings_usd.n, cache.savings_usd.sum) == (0, None)
