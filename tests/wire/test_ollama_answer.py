"""Ollama's answers under a Content-Type that does not tell: their bytes say whether they are a stream."""

import json

import pytest

from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.ollama_answer import OllamaAnswerReader
from llm_metrics_proxy.wire.ollama_native import OllamaBodyReader
from llm_metrics_proxy.wire.ollama_stream import OllamaStreamReader
from tests.wire.streams import OLLAMA, OLLAMA_END, facts_of, line, said

WHOLE = line(message={"role": "assistant", "content": "The sky"}, **OLLAMA_END)
INDENTED = json.dumps(json.loads(WHOLE), indent=2).encode()


def facts(*pieces: bytes) -> ResponseFacts:
    return facts_of(OllamaAnswerReader, *pieces)


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
    found = facts(stream)
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
        b"",
        b"\n\n",
        b"<html>\n</html>",
        b'{"response":"' + b"x" * 70_000 + b'","done":true}\n',
    ],
)
def test_one_object_is_a_whole_answer(body: bytes) -> None:
    found = facts(body)
    assert found == facts_of(OllamaBodyReader, body)
    assert found.content_chunks is None


def test_the_first_line_shows_its_token_when_it_is_whole() -> None:
    reader = OllamaAnswerReader()
    first = said("x")
    assert reader.feed(first[:-1]) == 0
    assert reader.feed(b"\n") == SAW_TOKEN | SAW_OUTPUT
    assert reader.feed(said("y")) == SAW_TOKEN | SAW_OUTPUT
    assert reader.feed(OLLAMA[-1]) == SAW_TERMINAL


def test_an_error_in_an_object_of_its_own_is_told() -> None:
    assert facts(b'{"error":"no such model"}').error == ErrorFacts(message="no such model")


@pytest.mark.parametrize("begun", [b"", WHOLE])
def test_blank_lines_without_end_are_not_held(begun: bytes) -> None:
    reader = OllamaAnswerReader()
    reader.feed(begun)
    for _ in range(1000):
        reader.feed(b"\r\n" * 512)
        assert len(reader._held) <= 66 * 1024
    assert reader.finish() == facts(begun)


def test_a_stream_that_was_kept_alive_for_long_is_a_stream() -> None:
    found = facts(*[b"\n" * 1024] * 200, b"".join(OLLAMA))
    assert found == facts_of(OllamaStreamReader, b"".join(OLLAMA))
