"""A session's usage is the sum of its responses'."""

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.openai_realtime import RealtimeReader, model_in_query
from tests.wire.streams import facts_of
from tests.wire.test_websocket import event, frame

USAGE = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {"text_tokens": 119, "audio_tokens": 13, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip
CREATED = event("session.created", session={"model": "gpt-realtime", "modalities": ["text"]})
SOUND = event("response.output_audio.delta", delta="A" * 900)
CALL = {"type": "function_call", "name": "f"}


def done(usage: object = USAGE, *output: object) -> bytes:
    return event("response.done", response={"id": "r", "status": "completed", "output": output, "usage": usage})


def facts(*frames: bytes) -> ResponseFacts:
    return facts_of(RealtimeReader, *frames)


def test_a_session_of_two_responses() -> None:
    assert facts(CREATED, SOUND, done(USAGE, CALL), SOUND, SOUND, done(USAGE, {"type": "message"})) == ResponseFacts(
        model="gpt-realtime", prompt_tokens=264, completion_tokens=242, total_tokens=506, cached_tokens=128,
        usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=1,
    )  # fmt: skip


@pytest.mark.parametrize("usage", [None, 7, []])
def test_a_response_without_usage_adds_nothing(usage: object) -> None:
    assert facts(done(usage), done(), done(usage)).total_tokens == 253
    assert facts(done(usage)).usage_source == UsageSource.NONE


def test_nonsense_is_refused_and_the_other_reports_stay() -> None:
    found = facts(done({**USAGE, "input_tokens": -1}), done())
    assert (found.prompt_tokens, found.completion_tokens, found.usage_rejected) == (132, 242, True)


def test_an_error_event_does_not_end_the_session() -> None:
    found = facts(event("error", error={"message": "No such voice"}), done())
    assert (found.error, found.total_tokens) == (None, 253)


def test_what_is_no_json_or_no_websocket_is_passed_over() -> None:
    assert facts(frame(b"response.done {"), frame(b'"response.done"'), done()).total_tokens == 253
    assert facts(b"\xff\xff\xff") == ResponseFacts(terminal=True, malformed=True)


def test_compressed_messages_are_not_read() -> None:
    assert facts(frame(b'{"type":"response.done"}', rsv1=True)) == ResponseFacts(terminal=True)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        (b"/v1/realtime?model=gpt-realtime", "gpt-realtime"),
        (b"/openai/realtime?api-version=1&deployment=my%20gpt", "my gpt"),
        (b"/v1/realtime", None),
        (b"/v1/realtime?model=", None),
        (b"/v1/realtime?" + b"a=1&" * 200, None),
        (b"/v1/realtime?model=" + b"x" * 9000, None),
        (b"/v1/realtime?model=%ff%00", "\ufffd\x00"),
    ],
)
def test_the_query_names_the_model(target: bytes, model: str | None) -> None:
    assert model_in_query(target) == model
