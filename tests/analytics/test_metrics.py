import pytest

from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS, TOKEN_SUMS
from llm_metrics_proxy.columns import BUSY, Column
from llm_metrics_proxy.record import COLUMNS, DERIVED, READABLE, REGISTRY


def test_every_duration_and_every_derived_column_is_a_metric() -> None:
    durations = {name for name in COLUMNS if name.endswith("_ms") and REGISTRY[name].kind is not BUSY}
    assert {metric.name for metric in DISTRIBUTIONS} == durations | {
        column.name for column in DERIVED if column.kind.holds == "number"
    }
    assert {"time_to_first_token_ms", "response_time_ms", "proxy_overhead_ms", "tokens_per_second"} <= {
        metric.name for metric in DISTRIBUTIONS
    }


def test_token_sums_are_what_servers_reported_and_not_what_clients_asked_for() -> None:
    assert {metric.name for metric in TOKEN_SUMS} == {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cache_write_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "cache_hit_tokens",
        "cache_missed_tokens",
        "cache_prompt_tokens",
        "priced_tokens",
    }


@pytest.mark.parametrize("metric", [*DISTRIBUTIONS, *TOKEN_SUMS], ids=lambda metric: metric.name)
def test_units_and_meanings_are_those_of_the_column(metric: Column) -> None:
    column = READABLE[metric.name]
    assert (metric.unit, metric.meaning) == (column.unit, column.meaning)
    assert metric.unit
