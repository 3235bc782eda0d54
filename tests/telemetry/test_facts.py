"""Records in the words of the conventions: what is unknown is left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.facts import Measurement, has_span, is_understood, measurements, span
from tests.telemetry.conftest import a_stream

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def measured(**facts: Any) -> dict[str, list[Measurement]]:
    record = a_stream(**facts)
    found: dict[str, list[Measurement]] = {}
    for each in measurements(record, record.model, record.response_model):
        found.setdefault(each.histogram.name, []).append(each)
    return found


def test_a_span_has_the_requests_own_times_and_names() -> None:
    made = span(a_stream(), 1_000, 0.5)
    assert (made.name, made.start_ns, made.end_ns, made.error) == ("chat gpt-4o", 1_000, 1_500_001_000, None)
    assert made.attributes["gen_ai.provider.name"] == "openai"
    assert made.attributes["gen_ai.usage.input_tokens"] == 11
    assert made.attributes["gen_ai.usage.cache_read.input_tokens"] == 5
    assert made.attributes["gen_ai.response.time_to_first_chunk"] == 0.25
    assert made.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert (made.attributes["server.address"], made.attributes["server.port"]) == ("api.openai.com", 443)
    assert made.attributes["llm_proxy.cost_usd"] == 0.5


def test_below_the_clients_span_if_it_named_one() -> None:
    made = span(a_stream(trace_id=TRACE, parent_span_id=PARENT, trace_sampled=True), 0, None)
    assert (made.trace_id, made.parent_span_id) == (TRACE, PARENT)


def test_without_a_client_span_the_trace_bears_the_requests_id() -> None:
    made = span(a_stream(0xABC), 0, None)
    assert (made.trace_id, made.span_id, made.parent_span_id) == (f"{0xABC:032x}", f"{0xABC:016x}", None)
    assert int(span(a_stream(1 << 64), 0, None).span_id, 16) > 0  # an id of zeros would be none


def test_a_client_that_keeps_no_trace_gets_no_span() -> None:
    assert has_span(a_stream())
    assert has_span(a_stream(trace_sampled=True))
    assert not has_span(a_stream(trace_sampled=False))


def test_only_operations_on_models_count() -> None:
    assert is_understood(a_stream())
    assert not is_understood(a_stream(dialect=None))


def test_what_is_unknown_is_left_out() -> None:
    made = span(a_stream(model=None, prompt_tokens=None, backend=None, finish_reason=None), 0, None)
    assert made.name == "chat"
    for name in ("gen_ai.request.model", "gen_ai.usage.input_tokens", "server.address", "server.port", names.COST):
        assert name not in made.attributes
    assert None not in made.attributes.values()


@pytest.mark.parametrize(
    ("facts", "error"),
    [({"error_type": "rate_limit"}, "rate_limit"), ({"status_code": 503}, "503"), ({"status_code": None}, "_OTHER")],
)
def test_a_failure_says_of_which_type(facts: dict[str, Any], error: str) -> None:
    facts = {"success": False, "outcome": "upstream_error", **facts}
    assert span(a_stream(**facts), 0, None).error == error
    (duration,) = measured(**facts)["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == error


def test_a_crashed_request_ends_when_it_began() -> None:
    made = span(a_stream(success=False, outcome="proxy_crashed", response_time_ms=None), 7, None)
    assert made.start_ns == made.end_ns == 7


def test_a_stream_is_in_every_histogram() -> None:
    found = measured()
    assert {name: [each.value for each in values] for name, values in found.items()} == {
        "gen_ai.client.token.usage": [11, 101],
        "gen_ai.client.operation.duration": [1.5],
        "gen_ai.client.operation.time_to_first_chunk": [0.25],
        "gen_ai.client.operation.time_per_output_chunk": [0.02],
    }
    assert [each.attributes["gen_ai.token.type"] for each in found["gen_ai.client.token.usage"]] == ["input", "output"]


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        ({"is_streaming": False}, {names.FIRST_CHUNK.name, names.PER_CHUNK.name}),
        ({"content_chunks": 1}, {names.PER_CHUNK.name}),
        ({"time_to_first_token_ms": None}, {names.FIRST_CHUNK.name, names.PER_CHUNK.name}),
        ({"prompt_tokens": None, "completion_tokens": None}, {names.TOKEN_USAGE.name}),
        ({"response_time_ms": None}, {names.DURATION.name}),
    ],
)
def test_what_is_unknown_is_in_no_histogram(facts: dict[str, Any], missing: set[str]) -> None:
    assert {each.name for each in names.HISTOGRAMS} - measured(**facts).keys() == missing


@pytest.mark.parametrize(
    ("facts", "provider"),
    [
        ({"backend": "mine.openai.azure.com:443"}, "azure.ai.openai"),
        ({"backend": "bedrock-runtime.eu-west-1.amazonaws.com:443"}, "aws.bedrock"),
        ({"backend": "10.0.0.5:8000"}, "openai"),
        ({"backend": "10.0.0.5:11434", "dialect": "ollama_chat"}, "ollama"),
        ({"backend": None, "dialect": "anthropic_messages"}, "anthropic"),
        ({"backend": "[::1]:8080", "dialect": "rerank"}, "_OTHER"),
    ],
)
def test_the_provider_is_known_by_host_or_by_whose_api_it_is(facts: dict[str, Any], provider: str) -> None:
    assert span(a_stream(**facts), 0, None).attributes["gen_ai.provider.name"] == provider


@given(st.floats(0, 1e9), st.integers(0, 2**61))
def test_a_span_never_ends_before_it_begins(response_time_ms: float, start_ns: int) -> None:
    made = span(a_stream(response_time_ms=response_time_ms), start_ns, None)
    assert made.end_ns - made.start_ns == pytest.approx(response_time_ms * 1e6, abs=1)
