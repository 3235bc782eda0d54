"""Ollama's streams, line by line."""

import pytest

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.ollama_stream import OllamaStreamReader
from tests.wire.streams import OLLAMA, OLLAMA_END, facts_of, line, said
from tests.wire.test_ollama_native import COUNTED

VISIBLE = SAW_TOKEN | SAW_OUTPUT


def facts(*lines: bytes) -> ResponseFacts:
    return facts_of(OllamaStreamReader, *lines)


def test_a_chat_with_thinking_text_and_a_tool_call() -> None:
    assert facts(*OLLAMA) == ResponseFacts(
        response_model="llama3.2", finish_reason="stop", content_chunks=6, terminal=True, tool_call_count=1, **COUNTED
    )


def test_a_generation() -> None:
    lines = [line(response=word, done=False) for word in ("The", " sky", " is")]
    assert facts(*lines, line(response="", context=[1, 2, 3], **OLLAMA_END)) == ResponseFacts(
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
    assert facts(piece).content_chunks == bool(bits & SAW_TOKEN)
    assert not facts(piece).malformed


def test_an_error_line_ends_without_done_and_is_told() -> None:
    found = facts(said("x"), b'{"error":"unexpected EOF"}\n')
    assert (found.error, found.terminal, found.content_chunks) == (ErrorFacts(message="unexpected EOF"), False, 1)


def test_a_last_line_without_its_line_feed_counts() -> None:
    assert facts(b"".join(OLLAMA).removesuffix(b"\n")) == facts(*OLLAMA)


def test_counts_that_are_left_out_are_unknown_and_nonsense_is_refused() -> None:
    found = facts(line(response="", done=True, eval_count=3))
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (None, 3, None)
    assert facts(line(done=True, eval_count=-3, prompt_eval_count=2)).usage_rejected
