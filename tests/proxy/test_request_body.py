"""What a complete JSON body tells, and what goes to the server instead of it."""

import gzip

import pytest

from llm_metrics_proxy.proxy.asker import Caller
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.proxy.request_body import read_body

STREAMED = b'{"model":"m","stream":true}'


def plan(path: bytes = b"/v1/chat/completions", coding: bytes | None = None) -> RequestPlan:
    facts = {} if coding is None else {"content_encoding": coding}
    request = InboundRequest(b"POST", path, path, "1.1", True, [], facts, False, False, False, True, False)
    route = PathPolicy().route(b"POST", path)
    return RequestPlan(
        request=request, route=route, method="POST", dialect=None, asker=Caller({}, (), None, None, None),
        api_key_id=None,        start=b"", fast=False, buffered=True, limit_bytes=1 << 20, keep_alive=True,
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
