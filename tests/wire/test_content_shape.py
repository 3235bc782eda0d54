"""An event of a known shape says what it would say if it were read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.content_shape import Shape, shape_of
from llm_metrics_proxy.wire.openai_stream import OpenAIStreamReader


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"model": "m", "choices": [choice], "usage": None, **more}) + b"\n\n"


KNOWN = event("Hello")


def test_an_event_is_taken_apart_around_its_text() -> None:
    shape = shape_of(KNOWN)
    assert shape is not None
    assert shape.before + b"Hello" + shape.after == KNOWN
    assert shape.fits(event(" world, and {more} [of] it: 1.5%"))


@pytest.mark.parametrize(
    "data",
    [
        event(""),
        event('a "quote"'),
        event("back\\slash"),
        event("line\nbreak"),
        event("schön"),
        event("Hello") * 2,
        event("Hello")[:-1],
        b": comment\n" + event("Hello"),
        event("Hello").replace(b"\n", b"\r\n"),
        event("Hello", x={"content": "twice"}),
        b"data: [DONE]\n\n",
        b"",
    ],
)
def test_what_is_not_one_event_with_one_plain_text_has_no_shape_and_fits_none(data: bytes) -> None:
    assert shape_of(data) is None
    shape = shape_of(KNOWN)
    assert shape is not None
    assert not shape.fits(data)


def test_a_text_cannot_overlap_what_stands_around_it() -> None:
    assert not Shape(b"data: {a", b"a}\n\n").fits(b"data: {a}\n\n")


@given(
    st.lists(
        st.one_of(
            st.text(max_size=6).map(event),
            st.sampled_from(["a", "b c", "[DONE]", "}", "data: "]).map(event),
            st.just(event("x", usage={"prompt_tokens": 1, "completion_tokens": 2})),
            st.just(b"data: [DONE]\n\n"),
            st.just(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'),
            st.just(b'data: {"error":{"message":"m"}}\n\n'),
            st.just(b": keep-alive\n\n"),
            st.just(b"\xff\n"),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_reading_event_by_event_says_the_same_as_reading_in_one_piece(pieces: list[bytes], whole_first: bool) -> None:
    """One piece never has a known shape, so it is always framed and decoded."""
    stream = b"".join(pieces)
    one, many = OpenAIStreamReader(), OpenAIStreamReader()
    seen_in_one = one.feed(stream)
    seen_in_many = 0
    if whole_first:
        many.feed(b"")
    for piece in pieces:
        seen_in_many |= many.feed(piece)
    assert seen_in_many == seen_in_one
    assert many.finish() == one.finish()


@given(st.binary(max_size=40), st.integers(0, len(KNOWN)), st.integers(0, 40))
def test_a_known_event_with_bytes_put_in_is_read_as_ever(noise: bytes, at: int, cut: int) -> None:
    spoilt = KNOWN[:at] + noise + KNOWN[at + cut :]
    fresh, knowing = OpenAIStreamReader(), OpenAIStreamReader()
    knowing.feed(KNOWN)
    fresh.feed(b": past the start, where a byte-order mark would count\n\n")
    assert fresh.feed(spoilt) == knowing.feed(spoilt)
    after_fresh, after_knowing = fresh.finish(), knowing.finish()
    assert after_knowing.malformed == after_fresh.malformed
    assert after_knowing.content_chunks == (after_fresh.content_chunks or 0) + 1
    assert after_knowing.finish_reason == after_fresh.finish_reason
    assert after_knowing.error == after_fresh.error
