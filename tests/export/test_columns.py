import pytest

from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export.columns import choose
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY


def test_every_column_of_the_table_can_be_exported() -> None:
    for name in ALL_COLUMNS:
        assert choose(name) == (name,)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("arrival", "integer"),
        ("timestamp", "time"),
        ("model", "text"),
        ("is_streaming", "flag"),
        ("prompt_tokens", "integer"),
        ("response_time_ms", "number"),
        ("tokens_per_second", "number"),
        ("error_category", "text"),
        ("app_version", "text"),
        ("timestamp_original", "any"),
    ],
)
def test_a_column_has_the_kind_that_the_record_gives_it(name: str, kind: str) -> None:
    assert REGISTRY[name].kind.holds == kind


def test_columns_come_in_the_order_asked_for() -> None:
    assert choose("model, arrival") == ("model", "arrival")
    assert choose(None) == ALL_COLUMNS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle", "there is no column 'modle'; there are: arrival, host, request_id,"),
        ("arrival,,model", "there is no column ''"),
        ("arrival;DROP TABLE completion_requests", "there is no column 'arrival;DROP TABLE"),
        ("arrival,model,arrival", "the column arrival is named 2 times"),
    ],
)
def test_a_wrong_name_is_told_with_those_that_there_are(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        choose(text)
    assert caught.value.parameter == "columns"
