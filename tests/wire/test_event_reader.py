"""What all readers of streamed dialects promise: no cut, no known form and no nonsense changes what is read."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ResponseFacts
from llm_metrics_proxy.wire.event_reader import EventReader
from tests.wire.cuts import CALM, cut
from tests.wire.streams import (
    ALL,
    ANTHROPIC,
    OLLAMA,
    RESPONSES,
    compact,
    facts_of,
    response_delta,
    said,
    text_delta,
)

EVENTED = {name: each for name, each in ALL.items() if name != "openai"}


def make(name: str) -> EventReader:
    reader = EVENTED[name][0]()
    assert isinstance(reader, EventReader)
    return reader


def slow(name: str) -> EventReader:
    """The oracle: it never learns a form, so it frames and decodes every event."""
    reader = make(name)
    reader._tries = 0
    return reader


@pytest.mark.parametrize("name", EVENTED)
def test_every_event_alone_shows_what_it_shows_to_the_oracle(name: str) -> None:
    fast, oracle = make(name), slow(name)
    for event in EVENTED[name][1]:
        assert fast.feed(event) == oracle.feed(event), event
    assert fast.finish() == oracle.finish()


@pytest.mark.parametrize("name", EVENTED)
def test_a_stream_that_breaks_off_anywhere_raises_nothing_and_does_not_pass_for_whole(name: str) -> None:
    stream = b"".join(EVENTED[name][1])
    whole = facts_of(EVENTED[name][0], stream)
    assert whole.terminal
    for end in range(0, len(stream), 7):
        reader = make(name)
        reader.feed(stream[:end])
        found = reader.finish()
        assert not found.malformed
        assert not found.terminal or found.finish_reason == whole.finish_reason


@pytest.mark.parametrize("name", EVENTED)
def test_what_cannot_be_understood_is_told_and_reading_goes_on(name: str) -> None:
    nonsense = b"{nonsense\n" if name == "ollama" else b"data: {nonsense\n\n"
    found = facts_of(EVENTED[name][0], nonsense, *EVENTED[name][1])
    assert found.malformed
    clean = facts_of(EVENTED[name][0], *EVENTED[name][1])
    assert found == msgspec.structs.replace(clean, malformed=True)
    assert found.terminal


@pytest.mark.parametrize("name", ["anthropic", "responses", "audio"])
def test_an_end_marker_ends_any_stream_and_an_event_named_error_is_one(name: str) -> None:
    assert make(name).feed(b"data: [DONE]\n\n") == SAW_TERMINAL
    reader = make(name)
    assert reader.feed(b'event: error\ndata: {"type":"error","error":{"message":"boom"}}\n\n') == SAW_ERROR
    error = reader.finish().error
    assert error is not None
    assert error.message == "boom"


@pytest.mark.parametrize(
    ("name", "event"),
    [("anthropic", text_delta("x")), ("ollama", said("x")), ("responses", response_delta("response.a.delta", "x"))],
)
def test_a_form_is_learnt_from_the_first_event_of_text_and_fits_the_next(name: str, event: bytes) -> None:
    reader = make(name)
    reader.feed(event)
    assert reader._form is not None
    later = event.replace(b'"x"', b'"another text, {of} [any] sort"').replace(b"385406455", b"999")
    later = later.replace(b'"sequence_number":5', b'"sequence_number":1234')
    assert reader._form.run(later) == (1, len(later))


TEXT = st.text(max_size=6) | st.sampled_from(["a", "b c", "[DONE]", "}", "data: ", '"', "\\", "\ud83d", "\u2028"])
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "type", "delta", "text", "thinking", "partial_json", "usage", "message", "content", "content_block", "error",
        "response", "item", "output", "status", "input_tokens", "output_tokens", "done", "tool_calls", "eval_count",
        "stop_reason", "model", "id", "total_duration", "incomplete_details", "reason"]), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
KINDS = st.sampled_from([
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error",
    "response.completed", "response.failed", "response.output_text.delta", "response.output_item.added",
    "transcript.text.done",
])  # fmt: skip


@st.composite
def event(draw: st.DrawFn, name: str) -> bytes:
    """A real event, a real one with another text, or JSON of the right words in any order."""
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return draw(st.sampled_from(EVENTED[name][1]))
    text = draw(TEXT)
    if choice == 1:
        like: dict[str, Callable[[str], bytes]] = {
            "anthropic": text_delta,
            "ollama": said,
            "responses": lambda text: response_delta("response.output_text.delta", text),
        }
        if name in like:
            return like[name](text)
    value = draw(ANY)
    if isinstance(value, dict) and draw(st.booleans()):
        value = {"type": draw(KINDS), **value}
    return compact(value) + b"\n" if name == "ollama" else b"data: " + compact(value) + b"\n\n"


@CALM
@given(st.data(), st.sampled_from(sorted(EVENTED)))
def test_made_up_streams_read_the_same_fast_and_slow_and_under_every_cut(data: st.DataObject, name: str) -> None:
    events = data.draw(st.lists(event(name), max_size=10))
    fast, oracle, pieces = make(name), slow(name), slow(name)
    for each in events:
        assert fast.feed(each) == oracle.feed(each)
    for piece in data.draw(cut(b"".join(events))):
        pieces.feed(piece)
    facts = oracle.finish()
    assert fast.finish() == facts
    assert pieces.finish() == facts


@CALM
@given(st.data(), st.sampled_from(sorted(EVENTED)), st.binary(max_size=20))
def test_a_known_event_with_bytes_put_in_is_read_as_ever(data: st.DataObject, name: str, noise: bytes) -> None:
    known = {"anthropic": ANTHROPIC[8], "ollama": OLLAMA[2], "responses": RESPONSES[6]}.get(name, EVENTED[name][1][0])
    at = data.draw(st.integers(0, len(known)))
    spoilt = known[:at] + noise + known[at + data.draw(st.integers(0, 20)) :]
    fast, oracle = make(name), slow(name)
    for reader in (fast, oracle):
        reader.feed(known)
    assert fast.feed(spoilt) == oracle.feed(spoilt)
    assert fast.finish() == oracle.finish()


@CALM
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"data: ", b"\n\n", b'{"type":', b"}", b"\n"]), max_size=12),
       st.sampled_from(sorted(EVENTED)))  # fmt: skip
def test_random_bytes_raise_nothing(pieces: list[bytes], name: str) -> None:
    reader: Any = make(name)
    for piece in pieces:
        assert 0 <= reader.feed(piece) <= 15
    assert isinstance(reader.finish(), ResponseFacts)
