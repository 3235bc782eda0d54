import pytest

from llm_metrics_proxy.analytics.dimensions import DIMENSIONS
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.mcp_server.explained import explain, vocabulary
from llm_metrics_proxy.mcp_server.telling import MAX_CHARS, fitted, told_text
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.wire.error_types import TAXONOMY


@pytest.mark.parametrize("name", ["response_time_ms.p95", "time_to_first_token_ms", "model", "tag:team", "internal"])
def test_a_name_is_explained(name: str) -> None:
    assert all(one["meaning"] for one in explain(name)["explanations"])


def test_every_name_of_the_program_is_explained() -> None:
    for name in (*NAMED, *FIELDS, *DIMENSIONS, *REGISTRY, *(row.type for row in TAXONOMY)):
        assert explain(name)["explanations"], name


def test_what_a_metric_needs_is_told() -> None:
    (metric, *_) = explain("response_time_ms")["explanations"]
    assert (metric["is"], metric["unit"], metric["people_call_it"]) == ("metric", "ms", "response time")
    assert "response_time_ms.p95" in metric["use"]


def test_an_error_type_of_two_sides_has_both_meanings() -> None:
    assert {one["category"] for one in explain("internal")["explanations"]} == {"upstream", "proxy"}
    assert len(explain("upstream/internal")["explanations"]) == 1


def test_an_unknown_name_is_refused_with_what_was_meant() -> None:
    with pytest.raises(QueryError, match="did you mean response_time_ms"):
        explain("respons_time_ms")


def test_the_vocabulary_fits_into_one_answer() -> None:
    told = fitted({"link": "http://localhost:8002/docs", **vocabulary()})
    assert "left_out" not in told
    assert len(told_text(told)) <= MAX_CHARS
