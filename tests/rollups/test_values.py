from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.measures import FIELDS as ASKED
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.rollups.groups import FIELD_STRIDE
from llm_metrics_proxy.rollups.values import (
    ALL,
    BY_NAME,
    FEW,
    FIELDS,
    KEY_OF_FILTER,
    KEYS,
    LATENCIES,
    MAIN,
    SUMS,
    WHOLE,
)

# What stands for each column in the bytes of every database.
STORED = (
    "response_time_ms", "time_to_first_token_ms", "time_per_output_token_ms", "output_tokens_per_second",
    "tokens_per_second", "proxy_overhead_ms", "time_to_first_byte_ms", "time_to_first_output_ms",
    "time_to_last_token_ms", "inter_chunk_max_ms", "body_complete_ms", "connect_ms", "upstream_acquired_ms",
    "request_sent_ms", "response_headers_ms", "server_total_ms", "server_load_ms", "server_prompt_ms",
    "server_generation_ms", "retry_after_ms", "ratelimit_reset_requests_ms", "ratelimit_reset_tokens_ms",
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens",
    "request_bytes", "response_bytes", "cost_usd", "upstream_cost_usd", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "quota_primary_window_ms", "quota_primary_reset_ms", "quota_secondary_window_ms",
    "quota_secondary_reset_ms",
)  # fmt: skip


def test_numbers_are_stored_and_so_never_change() -> None:
    assert tuple(field.name for field in FIELDS[: len(STORED)]) == STORED
    assert [field.number for field in FIELDS] == list(range(len(FIELDS)))
    assert max(ALL) < FIELD_STRIDE


def test_fields_are_those_of_queries() -> None:
    assert {field.name for field in FIELDS} == set(ASKED) - {"cache_missed_tokens", "session_cost_usd"}  # records know


def test_counts_are_whole_and_measurements_are_not() -> None:
    assert {BY_NAME["prompt_tokens"].number, BY_NAME["response_bytes"].number} <= WHOLE
    assert BY_NAME["cost_usd"].number not in WHOLE
    assert BY_NAME["response_time_ms"].number not in WHOLE


def test_keys_are_those_of_queries() -> None:
    for name, column in KEYS.items():
        assert DIMENSIONS[name].column == column
        assert column in REGISTRY


def test_a_filter_is_compared_with_the_key_that_has_its_value() -> None:
    for field, key in KEY_OF_FILTER.items():
        assert field in RequestFilter.__struct_fields__
        assert key in KEYS
    assert KEY_OF_FILTER["streaming"] == "streaming"
    assert "tag" not in KEY_OF_FILTER


def test_what_is_kept_by_client_is_kept_by_model_and_that_is_kept_in_total() -> None:
    assert set(FEW) < set(LATENCIES) < set(MAIN) < set(ALL)
    assert set(LATENCIES).isdisjoint(SUMS)
