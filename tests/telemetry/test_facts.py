"""Records in the words of the conventions: what is unknown is left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.telemetry import names
from llm_metrics_proxy.telemetry.facts import Measurement, event, has_span, is_understood, measurements, span
from tests.telemetry.conftest import a_stream

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def measured(**facts: Any) -> dict[str, list[Measurement]]:
    record = a_stream(**facts)
    found: dict[str, list[Measurement]] = {}
    for each in measurements(record, record.model, record.response_model):
        found.setdefault(each.instrument.name, []).append(each)
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
    assert (made.ids.trace_id, made.ids.parent_span_id) == (TRACE, PARENT)


def test_without_a_client_span_the_trace_bears_the_requests_id() -> None:
    made = span(a_stream(0xABC), 0, None)
    assert made.ids == (f"{0xABC:032x}", f"{0xABC:016x}", None, True)
    assert int(span(a_stream(1 << 64), 0, None).ids.span_id, 16) > 0  # an id of zeros would be none


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
    (duration,) = measured(**facts)["gen_ai.client.inference.duration"]
    assert duration.attributes["error.type"] == error


def test_a_crashed_request_ends_when_it_began() -> None:
    made = span(a_stream(success=False, outcome="proxy_crashed", response_time_ms=None), 7, None)
    assert made.start_ns == made.end_ns == 7


def test_a_stream_is_in_every_instrument_of_an_inference() -> None:
    found = measured(request_sent_ms=50.0, reasoning_tokens=7)
    assert {name: [each.value for each in values] for name, values in found.items()} == {
        "gen_ai.client.inference.duration": [1.5],
        "gen_ai.client.inference.operation.input_tokens": [11],
        "gen_ai.client.inference.operation.output_tokens": [101],
        "gen_ai.client.inference.usage.input_tokens": [11],
        "gen_ai.client.inference.usage.output_tokens": [101],
        "gen_ai.client.inference.usage.cache_read.input_tokens": [5],
        "gen_ai.client.inference.usage.cache_write.input_tokens": [0],
        "gen_ai.client.inference.usage.reasoning.output_tokens": [7],
        "gen_ai.client.inference.time_to_first_chunk": [0.25],
        "gen_ai.client.inference.time_per_output_chunk": [0.02],
        "gen_ai.server.request.duration": [1.2],
        "gen_ai.server.time_to_first_token": [0.2],
        "gen_ai.server.time_per_output_token": [0.01],
    }


USED = {each.name for each in names.INSTRUMENTS if "embeddings" not in each.name} - {names.OTHER_DURATION.name}
SERVER = {names.SERVER_DURATION.name, names.SERVER_FIRST_TOKEN.name, names.SERVER_PER_TOKEN.name}


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (
            {"is_streaming": False, "content_chunks": None},
            {names.FIRST_CHUNK.name, names.PER_CHUNK.name, names.SERVER_FIRST_TOKEN.name, names.SERVER_PER_TOKEN.name},
        ),
        ({"content_chunks": 1}, {names.PER_CHUNK.name}),
        (
            {"time_to_first_token_ms": None},
            {names.FIRST_CHUNK.name, names.PER_CHUNK.name, names.SERVER_FIRST_TOKEN.name, names.SERVER_PER_TOKEN.name},
        ),
        ({"prompt_tokens": None}, {names.INPUT_TOKENS.name}),
        ({"completion_tokens": None}, {names.OUTPUT_TOKENS.name, names.SERVER_PER_TOKEN.name}),
        ({"response_time_ms": None}, {names.DURATION.name}),
        ({"request_sent_ms": None}, SERVER),
        (
            {"success": False, "outcome": "upstream_error"},
            {names.SERVER_FIRST_TOKEN.name, names.SERVER_PER_TOKEN.name},  # the conventions count successful ones
        ),
        (
            {"usage_source": "repeated"},
            {names.INPUT_TOKENS.name, names.OUTPUT_TOKENS.name, names.SERVER_PER_TOKEN.name},
        ),
    ],
)
def test_what_is_unknown_is_in_no_histogram(facts: dict[str, Any], missing: set[str]) -> None:
    assert USED - measured(**{"request_sent_ms": 5.0, **facts}).keys() == missing


def test_tokens_that_another_record_counts_are_nowhere_again() -> None:
    facts: dict[str, Any] = {"usage_source": "repeated"}
    assert [measured(**facts)[counter.name][0].value for counter in names.USAGE.values()] == [0] * len(names.USAGE)
    assert not span(a_stream(**facts), 0, None).attributes.keys() & set(names.USAGE_ATTRIBUTES.values())


@pytest.mark.parametrize(
    ("dialect", "duration", "tokens"),
    [
        ("openai_embeddings", "gen_ai.client.embeddings.duration", "gen_ai.client.embeddings.operation.input_tokens"),
        ("rerank", "gen_ai.client.operation.duration", None),
    ],
)
def test_what_is_no_inference_has_instruments_of_its_own(dialect: str, duration: str, tokens: str | None) -> None:
    found = measured(dialect=dialect, is_streaming=False, content_chunks=None)
    assert found.keys() == {duration, tokens} - {None}


def test_tokens_of_a_fetched_answer_are_those_of_an_inference_that_nobody_else_counts() -> None:
    found = measured(dialect="openai_responses_fetch", is_streaming=False, content_chunks=None)
    used = {names.INPUT_TOKENS, names.OUTPUT_TOKENS, *names.USAGE.values()}
    assert found.keys() == {"gen_ai.client.operation.duration"} | {counter.name for counter in used}
    assert {one.attributes[names.OPERATION] for ones in found.values() for one in ones} == {"fetch_response"}


def test_a_fetched_answer_is_named_so() -> None:
    assert span(a_stream(dialect="openai_responses_fetch"), 0, None).name == "fetch_response gpt-4o"


def test_the_session_is_the_conversation_and_what_goes_without_saying_is_not_said() -> None:
    attributes = span(a_stream(session_id="s-1", choice_count=1), 0, None).attributes
    assert attributes["gen_ai.conversation.id"] == "s-1"
    assert attributes["gen_ai.request.stream"] is True
    assert names.CHOICE_COUNT not in attributes
    assert names.STREAM not in span(a_stream(is_streaming=False), 0, None).attributes


def test_a_failure_without_a_finish_reason_ended_with_error() -> None:
    failed: dict[str, Any] = {"success": False, "outcome": "upstream_error", "finish_reason": None}
    assert span(a_stream(**failed), 0, None).attributes[names.FINISH_REASONS] == ("error",)
    assert names.FINISH_REASONS not in span(a_stream(dialect="rerank", **failed), 0, None).attributes


def test_an_event_says_what_the_span_says_at_the_requests_end() -> None:
    made, beside = event(a_stream(), 1_000, 0.5), span(a_stream(), 1_000, 0.5)
    assert (made.name, made.body, made.severity) == (names.DETAILS_EVENT, "chat gpt-4o: completed", "INFO")
    assert (made.end_ns, made.ids, made.attributes) == (beside.end_ns, beside.ids, beside.attributes)


@pytest.mark.parametrize(
    ("facts", "severity", "body"),
    [
        ({"outcome": "client_disconnected", "error_type": "disconnect_mid_stream"}, "WARN", "disconnect_mid_stream"),
        ({"outcome": "proxy_refused", "error_type": "endpoint_not_found"}, "WARN", "endpoint_not_found"),
        ({"outcome": "upstream_error", "error_type": "rate_limit"}, "ERROR", "rate_limit"),
        ({"outcome": "proxy_crashed", "error_type": None}, "ERROR", "proxy_crashed"),
    ],
)
def test_an_event_of_a_failure_says_how_bad_it_is(facts: dict[str, Any], severity: str, body: str) -> None:
    made = event(a_stream(success=False, error_message="no luck", **facts), 0, None)
    assert (made.severity, made.body) == (severity, f"chat gpt-4o: {body}")
    assert made.attributes[names.ERROR_MESSAGE] == "no luck"


def test_a_request_that_no_dialect_reads_is_an_event_all_the_same() -> None:
    made = event(a_stream(dialect=None, model=None), 0, None)
    assert (made.name, made.body) == (names.OWN_EVENT, "POST /v1/chat/completions: completed")
    assert names.OPERATION not in made.attributes
    assert made.attributes["http.request.method"] == "POST"


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
