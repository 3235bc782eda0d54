"""A session of Responses over a WebSocket: what it asks for, and what all of its responses come to."""

import base64
import json
import random
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.openai_responses_session import ResponsesSession
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    ErrorFacts,
    RequestFacts,
)
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.websocket import FrameReader
from tests.wire.counted import Read, counted
from tests.wire.streams import OUTPUT, RESPONSE, RESPONSE_USAGE, facts_of
from tests.wire.test_deflate import Compressor, deflated
from tests.wire.test_websocket import CLOSE, event, frame

CLOSING = frame(b"", CLOSE)
LIMITS = event("codex.rate_limits", rate_limits={"primary": {"used_percent": 12, "window_minutes": 300}})
LOST = {
    "type": "invalid_request_error",
    "code": "previous_response_not_found",
    "message": "Previous response not found.",
}
LOST_ERROR = ErrorFacts(code=LOST["code"], type=LOST["type"], message=LOST["message"])


def part(kind: str, **changes: Any) -> bytes:
    return event(kind, response={**RESPONSE, **changes})


BEGIN = part("response.created")
THOUGHT = event("response.reasoning_summary_text.delta", delta="Hm")
WORD = event("response.output_text.delta", delta="Hi")


def end(kind: str = "response.completed", **changes: Any) -> bytes:
    status = kind.partition(".")[2]
    return part(kind, **{"status": status, "output": OUTPUT, "usage": RESPONSE_USAGE, **changes})


def told(error: object = LOST) -> bytes:
    return event("error", status=400, error=error)


TURN = BEGIN + THOUGHT + WORD + end()


def facts(*frames: bytes) -> Read:
    return facts_of(ResponsesSession, *frames)


def test_a_session_of_two_responses_is_their_sum_and_ends_as_the_last() -> None:
    last = (
        BEGIN + WORD * 3 + end("response.incomplete", id="resp_2", incomplete_details={"reason": "max_output_tokens"})
    )
    assert facts(LIMITS, TURN, LIMITS, last, CLOSING) == Read(
        response_model="gpt-x", prompt_tokens=74, completion_tokens=22, total_tokens=96, cached_tokens=32,
        reasoning_tokens=8, usage_source=UsageSource.REPORTED, terminal=True, tool_call_count=2, content_chunks=5,
        finish_reason="max_output_tokens", response_id="resp_2", service_tier="auto",
    )  # fmt: skip


def test_a_response_that_only_prepares_the_next_one_adds_what_it_reports() -> None:
    warm = BEGIN + end(output=[], usage={"input_tokens": 30, "output_tokens": 0, "total_tokens": 30})
    found = facts(warm + TURN)
    assert (found.prompt_tokens, found.completion_tokens, found.content_chunks) == (67, 11, 2)


def test_nothing_was_asked() -> None:
    found = facts(CLOSING)
    assert (found.terminal, found.content_chunks, found.usage_source) == (True, 0, UsageSource.NONE)


@pytest.mark.parametrize(
    ("said", "terminal"),
    [
        (BEGIN, False),
        (BEGIN + WORD, False),
        (TURN + BEGIN, False),
        (TURN + LIMITS, True),
        (TURN + CLOSING, True),
        (BEGIN + told(), True),
    ],
)
def test_a_response_that_did_not_end_leaves_the_session_unfinished(said: bytes, terminal: bool) -> None:
    assert facts(said).terminal is terminal
    reader = ResponsesSession()
    reader.feed(said)
    assert not reader.was_left
    reader.client_ends()
    assert reader.was_left is (not terminal)


def test_one_that_was_asked_for_and_never_began_too() -> None:
    reader = ResponsesSession()
    assert reader.asked(create()) is not None
    assert not reader.finish().terminal
    reader.feed(TURN)
    assert reader.finish().terminal


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (told(), LOST_ERROR),
        (TURN + told(), LOST_ERROR),
        (TURN + told() + CLOSING, LOST_ERROR),
        (TURN + told() + LIMITS, LOST_ERROR),
        (told() + TURN, None),  # the client asked again, with all that it had to say
        (told() + BEGIN, None),
        (TURN + BEGIN + end("response.failed", error={"code": "server_error", "message": "Sorry"}, usage=None),
         ErrorFacts(code="server_error", message="Sorry")),
        (BEGIN + WORD + event("error", code="rate_limit_exceeded", message="Slow", sequence_number=9),
         ErrorFacts(code="rate_limit_exceeded", message="Slow")),
        (told({"code": "websocket_connection_limit_reached", "message": "60 minutes"}),
         ErrorFacts(code="websocket_connection_limit_reached", message="60 minutes")),
    ],
)  # fmt: skip
def test_a_session_failed_if_its_last_response_did(said: bytes, error: ErrorFacts | None) -> None:
    found = facts(said)
    assert found.error == error
    reader = ResponsesSession()
    reader.feed(said)
    assert reader.error == error or error is None


def test_a_failed_response_is_paid_for_too() -> None:
    assert facts(TURN + BEGIN + end("response.failed", error={"code": "c"})).prompt_tokens == 74


def test_what_a_read_shows() -> None:
    reader = ResponsesSession()
    shown = [reader.feed(each) for each in (LIMITS, BEGIN, THOUGHT, WORD, end(), told())]
    assert shown == [0, 0, SAW_TOKEN, SAW_TOKEN | SAW_OUTPUT, SAW_TERMINAL, SAW_ERROR]


def test_what_is_no_websocket_is_unknown() -> None:
    found = facts(b"HTTP/1.1 200 OK\r\n\r\n")
    assert (found.malformed, found.content_chunks, found.terminal) == (True, None, True)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_compressed_session_is_read(takeover: bool) -> None:
    deflate, stream = Deflate(server_takeover=takeover), deflated(TURN, takeover=takeover)
    assert facts_of(lambda: ResponsesSession(deflate), stream) == facts(TURN)
    assert facts(stream).usage_source == UsageSource.NONE


def deflated_large(frames: bytes) -> bytes:
    side, reader = Compressor(), FrameReader(10**8)
    return b"".join(side.frames(message, parts=3) for message in reader.feed(frames))


@pytest.mark.parametrize("compressed", [False, True])
def test_an_event_of_any_size_is_read_in_bounded_memory(compressed: bool) -> None:
    picture = base64.b64encode(random.Random(1).randbytes(3_000_000)).decode()
    drawn = event("response.image_generation_call.partial_image", partial_image_b64=picture)
    stream = BEGIN + drawn + end(output=[{"type": "image_generation_call", "result": picture}, *OUTPUT])
    reader = ResponsesSession(Deflate() if compressed else None)
    sent = deflated_large(stream) if compressed else stream
    for at in range(0, len(sent), 65536):
        reader.feed(sent[at : at + 65536])
        assert reader.frames.held_bytes <= 256 * 1024
    found = counted(reader)
    assert (found.total_tokens, found.finish_reason, found.tool_call_count) == (48, "completed", 2)
    assert (found.terminal, found.content_chunks, found.error) == (True, 1, None)


def create(**members: Any) -> bytes:
    return json.dumps({"type": "response.create", "model": "gpt-x", "input": "x", **members}).encode()


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (create(), RequestFacts(model="gpt-x", is_streaming=True, message_count=1)),
        (create(tools=[{}, {}], max_output_tokens=9, temperature=0.5, user="u", input=[{}, {}, {}], generate=False),
         RequestFacts(model="gpt-x", is_streaming=True, message_count=3, tool_count=2, max_tokens=9, temperature=0.5,
                      user="u")),
        (json.dumps({"type": "response.create", "response": {"model": "n", "input": []}}).encode(),
         RequestFacts(model="n", is_streaming=True, message_count=0)),
        (b'{"type":"response.create"}', RequestFacts(is_streaming=True)),
        (b'{"type":"response.cancel"}', None),
        (b'{"model":"gpt-x"}', None),
        (b"[1]", None),
        (b"\xff", None),
    ],
)  # fmt: skip
def test_what_the_client_asks_for(message: bytes, asked: RequestFacts | None) -> None:
    assert ResponsesSession().asked(message) == asked
