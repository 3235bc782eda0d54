import pytest

from llm_metrics_proxy.analytics.exact import ExactAggregates, ExactStats
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, STATISTICS, measure
from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS, TOKEN_SUMS
from llm_metrics_proxy.analytics.period import NOTHING
from llm_metrics_proxy.analytics.source import Needs
from llm_metrics_proxy.record import REGISTRY

SOME = ExactAggregates(
    {"requests": 10, "succeeded": 6, "failed": 2, "good": 3},
    {"response_time_ms": ExactStats(4, 8000.0, 500.0, 4000.0, {0.95: 3900.0})},
    7,
)


@pytest.mark.parametrize(
    ("name", "value", "n"),
    [
        ("requests", 10, 10),
        ("success_rate", 0.75, 8),
        ("error_rate", 0.25, 8),
        ("requests_per_second", 2.5, 10),
        ("concurrency_mean", 2.0, 4),
        ("concurrency_max", 7, 4),
        ("goodput", 0.3, 10),
        ("response_time_ms.mean", 2000.0, 4),
        ("response_time_ms.min", 500.0, 4),
        ("response_time_ms.max", 4000.0, 4),
        ("response_time_ms.sum", 8000.0, 4),
        ("response_time_ms.count", 4, 4),
        ("response_time_ms.p95", 3900.0, 4),
        ("response_time_ms.p50", None, 4),  # the source was not asked for it
        ("total_tokens", None, 0),
    ],
)
def test_a_metric_follows_from_what_is_known_of_a_group(name: str, value: float | None, n: int) -> None:
    assert measure(name).value(SOME, 4.0) == (value, n)


def test_of_nothing_every_metric_but_counts_is_missing() -> None:
    zero = {"requests", "requests_per_second", *(f"{column}.count" for column in FIELDS)}
    names = (*NAMED, *(f"{column}.{statistic}" for column in FIELDS for statistic in (*STATISTICS, "p50")))
    for name in names:
        value, n = measure(name).value(NOTHING, 60.0)
        assert (value, n) == (0 if name in zero else None, 0)
    assert measure("requests_per_second").value(SOME, 0.0) == (None, 10)


def test_every_metric_has_unit_and_meaning_and_says_what_it_needs() -> None:
    for name in (*NAMED, *(f"{column}.p99.9" for column in FIELDS)):
        one = measure(name)
        assert one.name == name
        assert one.meaning
    assert measure("total_tokens").unit == "tokens"
    assert measure("response_time_ms.p95").unit == "ms"
    assert measure("response_time_ms.count").unit == "requests"
    needs = measure("response_time_ms.p99.9").needs | measure("goodput").needs
    assert needs == Needs(
        counts=frozenset({"good"}),
        moments=frozenset({"response_time_ms"}),
        quantiles=frozenset({("response_time_ms", 0.999)}),
    )


def test_every_column_of_a_quantity_can_be_measured() -> None:
    assert {metric.name for metric in (*DISTRIBUTIONS, *TOKEN_SUMS)} <= set(FIELDS)
    for name, fact in REGISTRY.items():
        if fact.unit in {"bytes", "USD"}:
            assert measure(name).unit == measure(f"{name}.mean").unit == fact.unit
