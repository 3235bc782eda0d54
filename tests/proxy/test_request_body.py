"""What a complete JSON body tells, and what goes to the server instead of it."""

import gzip
import json
from codecs import BOM_UTF8

import brotli  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.proxy.asker import Caller
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.proxy.request_body import may_be_json, read_begun, read_body
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.zstandard import zstd

STREAMED = b'{"model":"m","stream":true}'


def plan(path: bytes = b"/v1/chat/completions", coding: bytes | None = None) -> RequestPlan:
    facts = {} if coding is None else {"content_encoding": coding}
    request = InboundRequest(b"POST", path, path, "1.1", True, [], facts, False, False, False, True, False)
    route = PathPolicy().route(b"POST", path)
    return RequestPlan(
        request=request, route=route, asker=Caller({}, (), None, None, None, {}),
        record=RequestRecord(request_id="", timestamp="", method="POST", endpoint=route.endpoint),
        start=b"", fast=False, held=True, limit_bytes=1 << 20, keep_alive=True,
    )  # fmt: skip


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/v1/files"])
def test_a_body_is_read_with_and_without_a_dialect_and_sent_as_it_is(path: bytes) -> None:
    facts, sent, edits = read_body(plan(path), STREAMED, inject_usage=False)
    assert (facts.model, facts.is_streaming, sent, edits) == ("m", True, STREAMED, None)


def test_usage_is_asked_for_only_where_it_is_wanted_and_can_be() -> None:
    facts, sent, edits = read_body(plan(), STREAMED, inject_usage=True)
    assert b"include_usage" in sent
    assert edits is not None
    assert facts.is_streaming
    for other, body in ((plan(b"/v1/responses"), STREAMED), (plan(), b'{"model":"m"}'), (plan(), b"{")):
        assert read_body(other, body, inject_usage=True)[1:] == (body, None)


def test_a_compressed_body_is_read_and_never_edited() -> None:
    packed = gzip.compress(STREAMED)
    facts, sent, edits = read_body(plan(coding=b"gzip"), packed, inject_usage=True)
    assert (facts.model, sent, edits) == ("m", packed, None)
    assert read_body(plan(coding=b"x-own"), packed, inject_usage=True).facts.model is None


@pytest.mark.parametrize(
    ("begun", "json_so_far"),
    [
        (b'{"model":', True), (b" \r\n\t{", True), (b" " * 4000, True), (b" " * 5000 + b"{", False), (b"", True),
        (BOM_UTF8 + b"{", True), (BOM_UTF8[:2], True), (BOM_UTF8 + b"a=b", False), ("{}".encode("utf-16"), True),
        ("{}".encode("utf-16-le"), True), ("{}".encode("utf-32-be"), True), (b"model=m&stream=1", False),
        (b"R", False), (b"RIFF\x24\x08\x00\x00WAVE", False), (b"\xff\xfb\x90\x64\x00", False), (b'[{"a":1}]', False),
        (b'"text"', False), (b"%7B%22model", False), (b"--x\r\n", False),
    ],
)  # fmt: skip
def test_the_first_bytes_tell_an_object_from_anything_else(begun: bytes, json_so_far: bool) -> None:
    assert may_be_json(plan(), begun) is json_so_far


def test_the_first_bytes_of_a_compressed_body_are_looked_at_unpacked() -> None:
    for coding, pack in CODINGS.items():
        assert may_be_json(plan(coding=coding), pack(STREAMED)), coding
        assert may_be_json(plan(coding=coding), pack(STREAMED)[:4]), coding
        assert not may_be_json(plan(coding=coding), pack(b"model=m&" * 100)), coding
    assert not may_be_json(plan(coding=b"gzip"), STREAMED)
    assert not may_be_json(plan(coding=b"x-own"), STREAMED)


CODINGS = {b"gzip": gzip.compress, b"br": brotli.compress, b"zstd": zstd.compress}
PICTURE = "A" * 3_000_000
LARGE = json.dumps({
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}] * 9,
    "model": "m", "stream": True, "max_tokens": 7, "tools": [{"type": "function"}] * 3,
}).encode()  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
def test_a_large_compressed_body_is_read_like_a_plain_one(coding: bytes) -> None:
    assert len(LARGE) > 25_000_000
    packed = CODINGS[coding](LARGE)
    read = read_body(plan(coding=coding), packed, inject_usage=True)
    assert (read.facts, read.sent) == (read_body(plan(), LARGE, inject_usage=False).facts, packed)
    assert (read.facts.model, read.facts.message_count, read.facts.tool_count) == ("m", 9, 3)


def test_of_a_body_that_is_too_long_to_be_held_the_beginning_is_read() -> None:
    begun = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"' + b"x" * 100_000
    for body, coding in ((begun, None), (BOM_UTF8 + begun, None), (gzip.compress(begun), b"gzip")):
        facts = read_begun(plan(coding=coding), body)
        assert (facts.model, facts.is_streaming) == ("m", True)
    assert read_begun(plan(), b"{" * 5000).model is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/api/chat", b"/v1/responses", b"/v1/messages"])
def test_a_body_with_a_mark_or_wider_characters_is_read_and_sent_as_it_is(path: bytes, encoding: str) -> None:
    body = '{"model":"größe","stream":true}'.encode(encoding)
    facts, sent, edits = read_body(plan(path), body, inject_usage=False)
    assert (facts.model, facts.is_streaming, sent, edits) == ("größe", True, body, None)


def test_usage_is_asked_for_behind_a_byte_order_mark() -> None:
    _, sent, edits = read_body(plan(), BOM_UTF8 + b" " + STREAMED, inject_usage=True)
    assert sent.startswith(BOM_UTF8 + b" {")
    assert json.loads(sent.removeprefix(BOM_UTF8))["stream_options"] == {"include_usage": True}
    assert edits is not None
