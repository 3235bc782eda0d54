"""Ollama's own API: requests, whole answers, streams, and which of the two an answer is."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.ollama import (
    OLLAMA_CHAT,
    OllamaBodyReader,
    OllamaEmbedRequest,
    OllamaRequest,
    OllamaStreamReader,
)
from llm_metrics_proxy.wire.base import (
    SAW_ERROR,
    SAW_OUTPUT,
    SAW_TERMINAL,
    SAW_TOKEN,
    ErrorFacts,
    RequestFacts,
)
from llm_metrics_proxy.wire.first_bytes import FirstBytes
from tests.wire.counted import Read, with_counts
from tests.wire.streams import OLLAMA, OLLAMA_END, facts_of, line, said

COUNTED: dict[str, Any] = {
    "prompt_tokens": 26, "completion_tokens": 282, "total_tokens": 308, "usage_source": UsageSource.REPORTED,
    "further": {
        "server_total_ms": 4883.583458, "server_load_ms": 1.334875, "server_prompt_ms": 342.546,
        "server_generation_ms": 4535.599,
    },
}  # fmt: skip


def whole_facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: OllamaBodyReader(1), body)
    assert facts_of(OllamaBodyReader, body) == large
    return large


def test_a_chat_answer() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": {"b": 1}}}}] * 2
    answer = {"model": "m", "message": {"role": "assistant", "content": "Hi", "tool_calls": calls}, **OLLAMA_END}
    assert whole_facts(answer) == Read(
        response_model="m", finish_reason="stop", terminal=True, tool_call_count=2, **COUNTED
    )  # fmt: skip


def test_a_generated_answer_with_its_context() -> None:
    answer = {"model": "m", "response": "Hi", "context": list(range(5000)), **OLLAMA_END}
    assert whole_facts(answer) == Read(response_model="m", finish_reason="stop", terminal=True, **COUNTED)


def test_embeddings_have_a_prompt_only() -> None:
    answer = {"model": "m", "embeddings": [[0.1] * 500] * 3, "total_duration": 14_143_917, "load_duration": 1_019_500,
              "prompt_eval_count": 8}  # fmt: skip
    assert whole_facts(answer) == Read(
        response_model="m", prompt_tokens=8, usage_source=UsageSource.REPORTED, terminal=True,
        further={"server_total_ms": 14.143917, "server_load_ms": 1.0195},
    )  # fmt: skip
    assert whole_facts({"embedding": [0.5] * 900}) == Read(terminal=True)


def test_an_error_with_a_good_status_is_an_error() -> None:
    assert whole_facts({"error": "model is too large"}).error == ErrorFacts(message="model is too large")


@pytest.mark.parametrize(
    ("stream", "expected"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_it_streams_unless_the_request_says_no(stream: dict[str, Any], expected: bool) -> None:
    assert OllamaRequest.read(json.dumps({"model": "m", **stream}).encode()).is_streaming is expected


def test_a_chat_request_is_read() -> None:
    body = {
        "model": "m", "messages": [{}, {}, {}], "tools": [{}], "think": True, "keep_alive": "5m",
        "options": {"num_predict": -1, "temperature": 0.5, "top_p": 0.9, "seed": 7},
    }  # fmt: skip
    assert OllamaRequest.read(json.dumps(body).encode()) == RequestFacts(
        model="m", is_streaming=True, max_tokens=-1, temperature=0.5, top_p=0.9, message_count=3, tool_count=1
    )


@pytest.mark.parametrize(
    ("body", "count"), [({"prompt": "Why?"}, 1), ({"input": "a"}, 1), ({"input": ["a", "b"]}, 2), ({}, None)]
)
def test_prompts_and_inputs_are_counted(body: dict[str, Any], count: int | None) -> None:
    found = OllamaEmbedRequest.read(json.dumps({"model": "m", **body}).encode())
    assert (found.message_count, found.is_streaming, found.model) == (count, False, "m")


@pytest.mark.parametrize("body", [b"", b"[]", b"x"])
def test_an_odd_request_has_no_facts(body: bytes) -> None:
    assert OllamaRequest.read(body) == OllamaEmbedRequest.read(body) == RequestFacts()


VISIBLE = SAW_TOKEN | SAW_OUTPUT


def stream_facts(*lines: bytes) -> Read:
    return facts_of(OllamaStreamReader, *lines)


def test_a_chat_with_thinking_text_and_a_tool_call() -> None:
    assert stream_facts(*OLLAMA) == Read(
        response_model="llama3.2", finish_reason="stop", content_chunks=6, terminal=True, tool_call_count=1, **COUNTED
    )


def test_a_generation() -> None:
    lines = [line(response=word, done=False) for word in ("The", " sky", " is")]
    assert stream_facts(*lines, line(response="", context=[1, 2, 3], **OLLAMA_END)) == Read(
        response_model="llama3.2", finish_reason="stop", content_chunks=3, terminal=True, **COUNTED
    )


@pytest.mark.parametrize(
    ("piece", "bits"),
    [
        (said("x"), VISIBLE),
        (said(""), 0),
        (said(thinking="x"), SAW_TOKEN),
        (said("x", thinking="y"), VISIBLE),
        (said(tool_calls=[{"function": {"name": "f"}}]), VISIBLE),
        (line(response="x", done=False), VISIBLE),
        (line(response="", image="iVBORw0K", done=False), VISIBLE),
        (line(images=["iVBORw0K"], done=False), VISIBLE),
        (said(images=["iVBORw0K"]), VISIBLE),
        (said(images=[]), 0),
        (line(thinking="x", response="", done=False), SAW_TOKEN),
        (line(response="x", done=True, done_reason="length"), VISIBLE | SAW_TERMINAL),
        (line(done=True, done_reason="load"), SAW_TERMINAL),
        (line(done="yes"), 0),
        (b'{"error":"an error was encountered while running the model"}\n', SAW_ERROR),
        (b"\n", 0),
    ],
)
def test_what_one_line_shows(piece: bytes, bits: int) -> None:
    assert OllamaStreamReader().feed(piece) == bits
    assert stream_facts(piece).content_chunks == bool(bits & SAW_TOKEN)
    assert not stream_facts(piece).malformed


def test_an_error_line_ends_without_done_and_is_told() -> None:
    found = stream_facts(said("x"), b'{"error":"unexpected EOF"}\n')
    assert (found.error, found.terminal, found.content_chunks) == (ErrorFacts(message="unexpected EOF"), False, 1)


def test_a_last_line_without_its_line_feed_counts() -> None:
    assert stream_facts(b"".join(OLLAMA).removesuffix(b"\n")) == stream_facts(*OLLAMA)


def test_counts_that_are_left_out_are_unknown_and_nonsense_is_refused() -> None:
    found = stream_facts(line(response="", done=True, eval_count=3))
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (None, 3, None)
    assert stream_facts(line(done=True, eval_count=-3, prompt_eval_count=2)).usage_rejected


WHOLE = line(message={"role": "assistant", "content": "The sky"}, **OLLAMA_END)
INDENTED = json.dumps(json.loads(WHOLE), indent=2).encode()


class AnswerReader:
    """Who reads an answer that came as JSON, chosen by its bytes."""

    def __init__(self) -> None:
        self.first = FirstBytes(OLLAMA_CHAT, 200, b"application/json")

    def feed(self, data: bytes) -> int:
        if self.first.reader is None:
            data = self.first.take(data)
        return 0 if self.first.reader is None else self.first.reader.feed(data)

    def finish(self) -> Read:
        return with_counts(self.first.finish(), OLLAMA_CHAT)


def answer_facts(*pieces: bytes) -> Read:
    return facts_of(AnswerReader, *pieces)


@pytest.mark.parametrize(
    "stream",
    [
        b"".join(OLLAMA),
        b"\n \r\n" + b"".join(OLLAMA),
        b"".join(OLLAMA).replace(b"\n", b"\r\n"),
        b"".join(OLLAMA).removesuffix(b"\n"),
        said("x"),  # broke off after its first line
        said("x") + b'{"error":"unexpected EOF"}\n',
        line(message={"content": "x"}) + line(done=True),  # an imitation that says done only at the end
    ],
)
def test_lines_are_read_as_a_stream(stream: bytes) -> None:
    found = answer_facts(stream)
    assert found == facts_of(OllamaStreamReader, stream)
    assert found.content_chunks is not None


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        WHOLE.removesuffix(b"\n"),
        WHOLE + b"\n \n",
        INDENTED,
        INDENTED + b"\n",
        WHOLE[:40],
        b'{"error":"no such model"}\n',
        b'{"response":"' + b"x" * 70_000 + b'","done":true}\n',
    ],
)
def test_one_object_is_a_whole_answer(body: bytes) -> None:
    found = answer_facts(body)
    assert found == facts_of(OllamaBodyReader, body)
    assert found.content_chunks is None


def test_the_first_line_shows_its_token_when_it_is_whole() -> None:
    reader = AnswerReader()
    first = said("x")
    assert reader.feed(first[:-1]) == 0
    assert reader.feed(b"\n") == SAW_TOKEN | SAW_OUTPUT
    assert reader.feed(said("y")) == SAW_TOKEN | SAW_OUTPUT
    assert reader.feed(OLLAMA[-1]) == SAW_TERMINAL


def test_an_error_in_an_object_of_its_own_is_told() -> None:
    assert answer_facts(b'{"error":"no such model"}').error == ErrorFacts(message="no such model")


@pytest.mark.parametrize("begun", [b"", WHOLE])
def test_blank_lines_without_end_are_not_held(begun: bytes) -> None:
    reader = AnswerReader()
    reader.feed(begun)
    for _ in range(1000):
        reader.feed(b"\r\n" * 512)
        assert len(reader.first._held) <= 66 * 1024
    assert reader.finish() == answer_facts(begun)


def test_a_stream_that_was_kept_alive_for_long_is_a_stream() -> None:
    found = answer_facts(*[b"\n" * 1024] * 200, b"".join(OLLAMA))
    assert found == facts_of(OllamaStreamReader, b"".join(OLLAMA))
