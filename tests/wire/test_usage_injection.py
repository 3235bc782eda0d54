"""Usage asked for on the client's behalf, and every trace of it taken out of what the client sees."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.usage_injection import UsageFilter, inject_include_usage
from tests.wire.cuts import CALM, byte_by_byte, cut, three_ways

USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b' \n{ "model": "m",\n "stream": true }\n',
         b' \n{"stream_options":{"include_usage":true}, "model": "m",\n "stream": true }\n'),
        (b'{"stream":true,"stream_options":null,"n":1}',
         b'{"stream":true,"stream_options":{"include_usage":true},"n":1}'),
        (b'{"stream_options":{},"stream":true}', b'{"stream_options":{"include_usage":true},"stream":true}'),
        (b'{"stream_options":{ "a": 1 },"stream":true}',
         b'{"stream_options":{"include_usage":true, "a": 1 },"stream":true}'),
        (b'{"stream_options":{"include_usage": false },"stream":true}',
         b'{"stream_options":{"include_usage": true },"stream":true}'),
        (b'{"stream_options":{"include_usage":null},"stream":true}',
         b'{"stream_options":{"include_usage":true},"stream":true}'),
    ],
)  # fmt: skip
def test_the_option_is_spliced_in_and_no_other_byte_changes(body: bytes, expected: bytes) -> None:
    assert inject_include_usage(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"stream":true',
        b'{"model":"m"}',
        b'{"stream":false}',
        b'{"stream":null}',
        b'{"stream":"true"}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":"yes"}}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true,"stream_options":"x"}',
        b'{"stream":true,"stream_options":{},"stream_options":{}}',
        b'{"stream":true,"stream_options":{"include_usage":false,"include_usage":null}}',
    ],
)
def test_what_is_not_applicable_is_left_alone(body: bytes) -> None:
    assert inject_include_usage(body) is None


TEXT = st.text(st.sampled_from('ab"\\\n{}[],: é😀'), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@CALM
@given(
    st.dictionaries(TEXT, VALUES, max_size=4),
    st.sampled_from(["missing", None, {}, {"x": [1]}, {"include_usage": False}]),
    st.sampled_from([None, 1]),
)
def test_the_body_means_what_it_meant_and_asks_for_usage(
    body: dict[str, Any], options: Any, indent: int | None
) -> None:
    body = {**body, "stream": True, **({} if options == "missing" else {"stream_options": options}), "z": "end"}
    edited = inject_include_usage(json.dumps(body, indent=indent).encode())
    assert edited is not None
    wanted = body | {"stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}
    assert json.loads(edited) == wanted
    assert inject_include_usage(edited) is None


def through(pieces: list[bytes], **settings: int) -> bytes:
    usage_filter = UsageFilter(**settings)
    return b"".join(map(usage_filter.feed, pieces)) + usage_filter.finish()


def server_stream(parts: list[Any], *, include_usage: bool, separators: tuple[str, str], end: bytes) -> bytes:
    """What an OpenAI-style server sends: chunks, comments and raw blocks; then usage if asked; then the marker."""
    out = []
    for part in parts:
        if isinstance(part, bytes):
            out.append(part.replace(b"\n", end))
            continue
        value = part | ({"usage": None} if include_usage else {})
        out.append(b"data: " + json.dumps(value, separators=separators, ensure_ascii=False).encode() + end + end)
    if include_usage:
        last = {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
        out.append(b"data: " + json.dumps(last, separators=separators).encode() + end + end)
    out.append(b"data: [DONE]" + end + end)
    return b"".join(out)


CHUNKS = st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"delta": st.fixed_dictionaries(
    {"content": TEXT | st.just('"usage":null')})}), max_size=2)}, optional={"model": TEXT, "x": VALUES})  # fmt: skip
PARTS = CHUNKS | st.sampled_from(
    [b": keep-alive\n\n", b":\n", b"\n", b"event: ping\ndata: {}\n\n", b"id: 3\nretry: 5\n\n", b"data: no json\n\n"]
)


@CALM
@given(
    st.lists(PARTS, max_size=6),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_the_client_sees_the_stream_that_it_would_have_got_without(
    parts: list[Any], separators: tuple[str, str], end: bytes, data: st.DataObject
) -> None:
    with_usage = server_stream(parts, include_usage=True, separators=separators, end=end)
    without = server_stream(parts, include_usage=False, separators=separators, end=end)
    assert through(data.draw(cut(with_usage))) == without
    assert through(byte_by_byte(with_usage)) == without


def test_a_member_in_any_place_goes_without_a_trace() -> None:
    for with_null, left in (
        (b'{"usage":null,"choices":[1]}', b'{"choices":[1]}'),
        (b'{"id":1, "usage": null, "choices":[1]}', b'{"id":1, "choices":[1]}'),
        (b'{"id":1 , "usage" : null }', b'{"id":1 }'),
        (b'{"usage":null}', b"{}"),
        (b'{"choices":[{"usage":null}]}', b'{"choices":[{"usage":null}]}'),
        (b'{"a":"\\"usage\\":null","usage":null}', b'{"a":"\\"usage\\":null"}'),
    ):
        for pieces in three_ways(b"event: x\ndata: %b\nid: 1\n\n" % with_null):
            assert through(pieces) == b"event: x\ndata: %b\nid: 1\n\n" % left


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n',
        b'data: {"error":{"message":"x"},"usage":{"prompt_tokens":1}}\n\n',
        b'data: {"usage":null,"usage":null,"choices":[]}\n\n',
        b'data: {"choices":[],"usage":\n\n',
        b'data: {"choices":[{}],\ndata: "usage":null}\n\n',
        b'id: {"choices":[],"usage":{}}\n\n',
    ],
)
def test_what_is_not_of_our_making_stays(event: bytes) -> None:
    for pieces in three_ways(event):
        assert through(pieces) == event


@pytest.mark.parametrize("choices", [b'"choices":[],', b'"choices":null,', b""])
def test_the_usage_event_goes_in_each_of_its_forms(choices: bytes) -> None:
    usage = b'data: {"id":"x",%b"usage":{"prompt_tokens":1}}' % choices
    for text in (
        usage,
        usage.replace(b"data: ", b"data:"),
        b"event: m\n" + usage,
        usage.replace(b',"us', b',\ndata:"us'),
    ):
        for end in (b"\n", b"\r\n", b"\r"):
            stream = (b"data: 1\n\n" + text + b"\n\ndata: [DONE]\n\n").replace(b"\n", end)
            for pieces in three_ways(stream):
                assert through(pieces) == b"data: 1\n\ndata: [DONE]\n\n".replace(b"\n", end)
    for pieces in three_ways(b"data: 1\n\n" + usage):
        assert through(pieces) == b"data: 1\n\n"


def test_comments_pass_at_once_and_events_when_they_are_complete() -> None:
    usage_filter = UsageFilter()
    assert usage_filter.feed(b": keep-al") == b": keep-al"
    assert usage_filter.feed(b"ive\n") == b"ive\n"
    assert usage_filter.feed(b"\n: again\ndata: {") == b"\n: again\n"
    assert usage_filter.feed(b'"choices":[{}]}\n') == b""
    assert usage_filter.feed(b"\n") == b'data: {"choices":[{}]}\n\n'
    assert usage_filter.feed(b"data: x\r\n\r") == b"data: x\r\n\r"
    assert usage_filter.feed(b"\ndata: y\r\r") == b"\ndata: y\r\r"
    assert usage_filter.finish() == b""


@pytest.mark.parametrize("begins", [b'{"choices":[],"usage":{}}', b"[", b"<html>", b" data: 1", b"\r\n\n{"])
def test_what_is_no_event_stream_passes_at_once(begins: bytes) -> None:
    usage_filter = UsageFilter()
    for piece in (*(begins[at : at + 1] for at in range(len(begins))), b'\n\ndata: {"choices":[],"usage":{}}\n\n'):
        assert usage_filter.feed(piece) == piece
    assert usage_filter.finish() == b""


def test_a_stream_that_breaks_off_passes_to_its_last_byte() -> None:
    stream = b'data: {"choices":[{}],"usage":null}\n\ndata: {"choices":[{"del'
    for pieces in three_ways(stream):
        assert through(pieces) == b'data: {"choices":[{}]}\n\ndata: {"choices":[{"del'


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_over_the_bound_passes_as_it_is_and_the_next_one_is_filtered(end: bytes) -> None:
    long = b'data: {"choices":[{}],"x":"' + b"y" * 5000 + b'","usage":null}\n\n'
    usage = b'data: {"choices":[],"usage":{}}\n\n'
    stream = (b"data: a\n\n" + long + usage + b"data: b\n\n").replace(b"\n", end)
    expected = (b"data: a\n\n" + long + b"data: b\n\n").replace(b"\n", end)
    for pieces in three_ways(stream):
        usage_filter = UsageFilter(max_event_bytes=1000)
        out = b""
        for piece in pieces:
            out += usage_filter.feed(piece)
            assert len(usage_filter._held) <= 1000 + len(piece)
        assert out + usage_filter.finish() == expected
        assert usage_filter.passed_unfiltered == 1


@CALM
@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"data: ", b'{"usage":', b"null}", b"\r", b"\n", b":", b"\r\n"]))
)
def test_random_bytes_raise_nothing_and_every_cut_agrees(pieces: list[bytes]) -> None:
    assert through(pieces) == through([b"".join(pieces)])
    assert through(pieces, max_event_bytes=10) == through([b"".join(pieces)], max_event_bytes=10)
