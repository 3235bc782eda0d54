"""Events of any size say, made small while they pass, what they say when they are read plainly; in bounded memory."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.openai_responses import ResponsesStreamReader
from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.base import SAW_TERMINAL, SAW_VISIBLE, ResponseReader
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.json_shrink import MAX_KEPT_BYTES
from llm_metrics_proxy.wire.lines import MAX_HELD_BYTES
from tests.wire import streams
from tests.wire.counted import Read, counted
from tests.wire.cuts import CALM, cut, random_pieces
from tests.wire.streams import ALL, RESPONSE, RESPONSE_USAGE, compact, line, named, with_bound
from tests.wire.test_event_reader import ANY, KINDS

READ = 64 * 1024  # as much as a socket is read at once
MIB = 1024 * 1024


def read(reader: ResponseReader, pieces: list[bytes] | Iterator[bytes]) -> tuple[int, Read]:
    seen = 0
    for piece in pieces:
        seen |= reader.feed(piece)
    return seen, counted(reader)


@pytest.mark.parametrize("bound", [1, 64, 200])
@pytest.mark.parametrize("name", ALL)
def test_a_whole_stream_of_large_events_says_what_it_says_plainly(name: str, bound: int) -> None:
    make, events = ALL[name]
    plain, large = make(), with_bound(make(), bound)
    assert isinstance(large, EventReader)
    large._tries = 0  # a form that is known would pass by the framer
    for event in events:
        assert large.feed(event) == plain.feed(event), event
    assert large.finish() == plain.finish()


@CALM
@given(st.data(), st.sampled_from(sorted(ALL)), st.sampled_from([1, 50, 500]))
def test_any_events_read_large_under_any_cut_say_the_same(data: st.DataObject, name: str, bound: int) -> None:
    make, known = ALL[name]
    is_line = name == "ollama"
    values = data.draw(st.lists(ANY.filter(lambda value: not isinstance(value, dict)) | objects(), max_size=5))
    events = [compact(value) + b"\n" if is_line else b"data: " + compact(value) + b"\n\n" for value in values]
    stream = b"".join([*events[:2], *known, *events[2:]])
    assert read(with_bound(make(), bound), data.draw(cut(stream))) == read(make(), [stream])


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """One with the words that readers look for, and a long text in it."""
    drawn = draw(ANY)
    value: dict[str, Any] = drawn if isinstance(drawn, dict) else {}
    return {"type": draw(KINDS), **value, draw(st.sampled_from(["delta", "text", "picture", "model"])): "x" * 300}


PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 150_000
LONG = "word " * 400_000
ITEMS = [
    {"type": "message", "content": [{"type": "output_text", "text": "y" * 3000, "logprobs": [[1.5] * 20] * 5}]},
    {"type": "function_call", "name": "f", "arguments": json.dumps({"a": "z" * 2000})},
] * 1000
LARGE: dict[str, tuple[Callable[[], ResponseReader], list[bytes], dict[str, Any]]] = {
    "chat": (OpenAIStreamReader, [b"data: " + compact({
        "id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": LONG}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 3},
    }) + b"\n\n"], {"finish_reason": "stop", "total_tokens": 7, "response_model": "m", "content_chunks": 1}),
    "responses": (ResponsesStreamReader, [*streams.RESPONSES[:-1], named("response.completed", response={
        **RESPONSE, "status": "completed", "output": ITEMS, "usage": RESPONSE_USAGE, "instructions": LONG,
    })], {"finish_reason": "completed", "total_tokens": 48, "tool_call_count": 1000}),
    "anthropic": (ALL["anthropic"][0], [*streams.ANTHROPIC[:-3],
        streams.block_delta(2, type="input_json_delta", partial_json=LONG), *streams.ANTHROPIC[-2:]],
        {"finish_reason": "tool_use", "total_tokens": 129, "content_chunks": 9}),
    "ollama": (ALL["ollama"][0], [streams.said(LONG), line(message={"role": "assistant", "content": PICTURE},
        context=[7] * 500_000, **streams.OLLAMA_END)], {"finish_reason": "stop", "total_tokens": 308}),
    "images": (ALL["audio"][0], [named("image_generation.partial_image", b64_json=PICTURE, partial_image_index=0),
        named("image_generation.completed", b64_json=PICTURE, usage={"input_tokens": 5, "output_tokens": 9})],
        {"total_tokens": 14, "content_chunks": 2}),
}  # fmt: skip


@pytest.mark.parametrize("name", LARGE)
def test_a_large_event_gives_its_facts(name: str) -> None:
    make, events, expected = LARGE[name]
    stream = b"".join(events)
    found = []
    for pieces in ([stream], random_pieces(stream, 1, READ), random_pieces(stream, 2, 1500)):
        reader = make()
        assert read(reader, pieces)[0] & SAW_TERMINAL
        facts = counted(reader)
        found.append(facts)
        assert {column: getattr(facts, column) for column in expected} == expected
        assert (facts.terminal, facts.malformed, facts.error) == (True, False, None)
    plain = read(with_bound(make(), 1 << 30), [stream])[1]
    assert found == [plain] * 3


def test_a_token_is_seen_when_its_event_is_whole() -> None:
    """As with small events: before that, no client has anything of it."""
    event = LARGE["chat"][1][0]
    reader = OpenAIStreamReader()
    pieces = random_pieces(event, 1, READ)
    assert [reader.feed(piece) for piece in pieces[:-1]] == [0] * (len(pieces) - 1)
    assert reader.feed(pieces[-1]) == SAW_VISIBLE | SAW_TERMINAL


def test_several_lines_of_data_are_one_large_event() -> None:
    value = json.dumps({"choices": [{"delta": {"content": LONG}}], "usage": {"total_tokens": 9}}, indent=1)
    for end in (b"\n", b"\r\n", b"\r"):
        event = b"".join(b"data: " + each + end for each in value.encode().split(b"\n")) + end
        for pieces in ([event], random_pieces(event, 1, READ)):
            seen, facts = read(OpenAIStreamReader(), pieces)
            assert (seen, facts.total_tokens, facts.malformed) == (SAW_VISIBLE, 9, False)


def test_a_large_event_that_is_cut_short_is_truncation_and_one_that_is_nonsense_is_malformed() -> None:
    event = LARGE["chat"][1][0]
    for pieces in ([event[:-1000]], random_pieces(event[:-1000], 1, READ)):
        facts = read(OpenAIStreamReader(), pieces)[1]
        assert (facts.terminal, facts.malformed, facts.content_chunks) == (False, False, 0)
    spoilt = event.replace(b'"choices":[', b'"choices":[[', 1)
    for pieces in ([spoilt], random_pieces(spoilt, 1, READ)):
        facts = read(OpenAIStreamReader(), pieces)[1]
        assert (facts.terminal, facts.malformed, facts.content_chunks) == (False, True, 0)


def test_a_large_error_event_is_the_error() -> None:
    for event in (
        b"event: error\ndata: " + compact({"type": "error", "error": {"message": LONG, "code": "c"}}) + b"\n\n",
        b"data: " + compact({"error": {"metadata": {"raw": LONG}, "message": LONG, "code": "c"}}) + b"\n\n",
    ):
        error = read(OpenAIStreamReader(), random_pieces(event, 1, READ))[1].error
        assert error is not None
        assert (error.code, error.message) == ("c", LONG[:500])


def kilobytes_of(count: int, event: bytes) -> Iterator[bytes]:
    for _ in range(count):
        yield event


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b'{"choices":[{"delta":{"content":"', b"x" * READ),
        (b'{"choices":[{"delta":{"content":"\\u00e9', b"\\n" * (READ // 2)),
        (b'{"choices":[', b'{"delta":{"content":"%b"}},' % (b"y" * 1000) * 64),
        (b'{"id":[', b'"%b",' % (b"z" * 1000) * 64),
        (b'{"other":', b"[" * READ),
        (b'{"usage":{', b'"%b":1,' % (b"k" * 1000) * 64),
        (b"not json ", b"{" * READ),
        (b"", b"\ndata: " * (READ // 7)),
    ],
)  # fmt: skip
def test_what_a_reader_holds_is_bounded_whatever_comes(begin: bytes, again: bytes) -> None:
    reader = OpenAIStreamReader()
    tracemalloc.start()
    try:
        reader.feed(b"data: " + begin)
        for _ in range(4 * MIB // READ if len(set(again)) > 9 else 6):  # brackets take long
            reader.feed(again)
        held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < MAX_KEPT_BYTES + MAX_HELD_BYTES
    assert peak_bytes < MAX_KEPT_BYTES + 12 * MAX_HELD_BYTES
    assert isinstance(msgspec.structs.asdict(reader.finish()), dict)
