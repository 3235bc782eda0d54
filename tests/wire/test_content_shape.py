"""An event of a known form says what it would say if it were read."""

import random
import re
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.openai_stream import OpenAIStreamReader
from llm_metrics_proxy.wire.content_shape import Form, FormRules


def event(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + msgspec.json.encode({"model": "m", "choices": [choice], "usage": None, **more}) + b"\n\n"


def fits(form: Form, data: bytes) -> bool:
    return form.run(data) == (1, len(data))


KNOWN = event("Hello")
CHAT = OpenAIStreamReader.rules


def test_an_event_is_taken_apart_around_its_text() -> None:
    form = Form.of(KNOWN, CHAT)
    assert form is not None
    assert form.opens[0][0] + b"Hello" + form.end == KNOWN
    assert fits(form, event(" world, and {more} [of] it: 1.5%"))


@pytest.mark.parametrize("text", ['a "quote"', "back\\slash", "line\nbreak\t", "schön", "素早い", "🦊", "a" * 500])
def test_a_text_may_be_any_text(text: str) -> None:
    form = Form.of(event(text), CHAT)
    assert form is not None
    assert fits(form, KNOWN)
    assert fits(form, event(text))
    assert form.run(event(text) * 3 + b"x") == (3, 3 * len(event(text)))
    assert not fits(form, KNOWN.replace(b"Hello", b"\\"))
    escaped = KNOWN.replace(b"Hello", b"\\u003cb\\u003E \\ud7ff\\uE000\\/")
    assert fits(form, escaped)


def said(text: bytes) -> bytes:
    return KNOWN.replace(b"Hello", text)


@pytest.mark.parametrize(
    "data",
    [
        event(""),
        said(b"line\nbreak"),
        said(b"\x1f"),
        said(b"\x7f"),
        said(b"\\x"),
        said(b"\\u00g0"),
        said(b"\\u00e"),
        said(b"\\ud83d"),
        said(b"\\ud83d\\ude00"),  # a whole character, which no rule here tells from two halves
        said("schön".encode()[:4]),
        said(b"\xc0\x80"),
        said(b"\xe0\x80\x80"),
        said(b"\xed\xa0\x80"),
        said(b"\xf4\x90\x80\x80"),
        said(b"\xff"),
        event("Hello") * 2,
        event("Hello")[:-1],
        b": comment\n" + event("Hello"),
        event("Hello").replace(b"\n", b"\r\n"),
        event("Hello", x={"content": "twice"}),
        b"data: [DONE]\n\n",
        b"",
    ],
)
def test_what_is_not_one_event_with_one_plain_text_has_no_form_and_fits_none(data: bytes) -> None:
    assert Form.of(data, CHAT) is None
    form = Form.of(KNOWN, CHAT)
    assert form is not None
    assert not fits(form, data)


def test_a_text_cannot_overlap_what_stands_around_it() -> None:
    assert not fits(Form(((b"data: {a", re.compile(b"[a-z]+")),), b"a}\n\n"), b"data: {a}\n\n")


LIKE = st.sampled_from(["Hello", " w1", "x" * 80, "schön", "\n", '"'])
UNLIKE = st.sampled_from(
    [
        event(""), event("Hello")[:-1], event("Hello") * 2, KNOWN.replace(b'"m"', b'"n"'), b"", b"x",
        KNOWN.replace(b"Hello", b"\x1f"), KNOWN.replace(b"Hello", b"\\ud83d"), KNOWN.replace(b"Hello", b"a\"b"),
    ]
)  # fmt: skip


@given(st.lists(LIKE.map(event) | st.just(KNOWN), min_size=1), st.lists(UNLIKE, max_size=2), st.randoms())
def test_events_that_are_alike_fit_one_by_one(events: list[bytes], others: list[bytes], dice: random.Random) -> None:
    form = Form.of(KNOWN, CHAT)
    assert form is not None
    assert form.are_alike(events)
    events += others
    dice.shuffle(events)
    assert form.are_alike(events) is all(fits(form, each) for each in events)


@given(st.lists(st.integers(0, 400), max_size=4), st.lists(LIKE.map(event), min_size=1, max_size=3))
def test_events_that_are_cut_elsewhere_are_not_alike(cuts: list[int], events: list[bytes]) -> None:
    form = Form.of(KNOWN, CHAT)
    assert form is not None
    joined = b"".join(events)
    points = sorted({min(cut, len(joined)) for cut in cuts} | {0, len(joined)})
    pieces = [joined[start:stop] for start, stop in pairwise(points)]
    assert form.are_alike(pieces) is (pieces == events)


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
    """One piece never has a known form, so it is always framed and decoded."""
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


RULES = FormRules(texts=(b'"delta":"', b'"text":"'), strings=(b'"pad":"',), numbers=(b'"n":',))
LINES = FormRules(texts=(b'"content":"',), strings=(b'"at":"',), is_line=True)


def numbered(text: str, number: object = 5, pad: str = "xx", name: str = "a.delta") -> bytes:
    value = {"type": name, "n": number, "delta": text, "pad": pad}
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


def test_a_form_leaves_open_what_nobody_looks_at() -> None:
    form = Form.of(numbered("Hello"), RULES)
    assert form is not None
    assert fits(form, numbered(" other text", 0, "y"))
    assert fits(form, numbered("x", 123456789, "z" * 50))
    line = Form.of(b'{"at":"2025-08-04T08:52:19.38Z","m":{"content":"a"}}\n', LINES)
    assert line is not None
    assert fits(line, b'{"at":"2026-01-01T00:00:00Z","m":{"content":"quite another"}}\n')


@pytest.mark.parametrize(
    "data",
    [
        numbered(""),
        numbered("x", 5, ""),
        numbered("x", -5),
        numbered("x", 1.5),
        numbered("x", "5"),
        numbered("x", name="b.delta"),
        numbered("x").replace(b'"x"', b'"\\"'),
        numbered("x").replace(b'"x"', b'"\xf6"'),
        numbered("x").replace(b'"n":5', b'"n":05'),
        numbered("x") * 2,
        numbered("x")[:-1],
        numbered("x").replace(b"\n", b"\r\n"),
        numbered("x").replace(b'"delta"', b'"text"'),
        b"",
    ],
)
def test_what_differs_in_anything_else_does_not_fit(data: bytes) -> None:
    form = Form.of(numbered("Hello"), RULES)
    assert form is not None
    assert not fits(form, data)


@pytest.mark.parametrize(
    "data",
    [
        numbered("x").replace(b'"pad"', b'"text"'),
        numbered("x").replace(b'"pad":"xx"', b'"delta":"xx"'),
        numbered("x").replace(b'"pad":"xx"', b'"n":6'),
        b'data: {"n":5}\n\n',
        b': comment\ndata: {"delta":"x"}\n\n',
        b'data: {"delta":"x"}\ndata: {}\n\n',
    ],
)
def test_an_event_that_is_not_exactly_one_with_one_text_has_no_form(data: bytes) -> None:
    assert Form.of(data, RULES) is None
