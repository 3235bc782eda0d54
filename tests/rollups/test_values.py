from llm_metrics_proxy.analytics import dimensions
from llm_metrics_proxy.analytics.measures import FIELDS as ASKED
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.rollups.groups import FIELD_STRIDE
from llm_metrics_proxy.rollups.values import ALL, BY_NAME, FIELDS, KEYS, WHOLE


def test_what_counts_as_a_value_is_what_counts_for_queries() -> None:
    there = {field.name: field.sql for field in FIELDS if field.name in ALL_COLUMNS}
    assert there == {name: metric.sql for name, metric in ASKED.items()}


def test_a_field_that_this_program_has_no_column_for_is_missing() -> None:
    assert {field.sql for field in FIELDS if field.name not in ALL_COLUMNS} <= {"NULL"}


def test_keys_are_those_of_queries() -> None:
    names = {name: f'"{name}"' for name in ALL_COLUMNS}
    for name, sql in KEYS.items():
        column = dimensions.DIMENSIONS[name].column
        assert column is not None
        assert dimensions.DIMENSIONS[name].sql.format(**names).replace('"', "") == sql


def test_numbers_are_stored_and_so_never_change() -> None:
    assert [(field.number, field.name) for field in FIELDS[:6]] == [
        (0, "response_time_ms"),
        (1, "time_to_first_token_ms"),
        (2, "time_per_output_token_ms"),
        (3, "output_tokens_per_second"),
        (4, "tokens_per_second"),
        (5, "proxy_overhead_ms"),
    ]
    assert [field.number for field in FIELDS] == list(range(len(FIELDS)))
    assert max(ALL) < FIELD_STRIDE
    assert {BY_NAME["prompt_tokens"].number, BY_NAME["response_bytes"].number} <= WHOLE
