"""What servers answer through real sockets, as the verdict that is stored for it."""

from typing import Any

import pytest

from llm_metrics_proxy.metrics_service import judge
from tests.proxy.client import CHAT, post
from tests.proxy.conftest import Stage
from tests.upstream import Send, error_response, json_response, response

pytestmark = pytest.mark.system

ANSWERS: list[tuple[bytes, str, str]] = [
    (error_response(400, "too long", code="context_length_exceeded"), "request", "context_length"),
    (error_response(413, "too much"), "request", "too_large"),
    (json_response({"error": "model 'x' not found, try pulling it first"}, status=404), "request", "model_not_found"),
    (json_response({"detail": "Not Found"}, status=404), "request", "endpoint_not_found"),
    (json_response({"detail": "no"}, status=501), "request", "unsupported"),
    (json_response({"detail": "busy"}, status=409), "request", "conflict"),
    (json_response({"detail": [{"loc": ["body"], "msg": "bad", "type": "missing"}]}, status=422), "request", "invalid"),
    (error_response(401, "no key"), "auth", "unauthenticated"),
    (error_response(403, "not yours"), "auth", "forbidden"),
    (error_response(429, "pay", code="insufficient_quota"), "limit", "quota"),
    (error_response(429, "slower", type_="requests", code="rate_limit_exceeded"), "limit", "rate_limit"),
    (error_response(400, "filtered", code="content_filter"), "policy", "content_filter"),
    (json_response({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, status=529),
     "upstream", "overloaded"),
    (response(b"", status=504), "upstream", "timeout"),
    (response(b"<html><title>502 Bad Gateway</title></html>", status=502), "upstream", "bad_gateway"),
    (error_response(500, "boom"), "upstream", "internal"),
    (json_response({"error": "unexpected EOF"}), "stream", "error_event"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "category", "kind"), ANSWERS, ids=[kind for _, _, kind in ANSWERS])
def test_a_servers_error_gets_its_type(stage: Stage, answer: bytes, category: str, kind: str) -> None:
    with stage.play([Send(answer)]):
        stage.proxy.ask(post(CHAT))
    verdict = judge(stage.proxy.record())
    assert (verdict.outcome, verdict.category, verdict.type) == ("upstream_error", category, kind)
    assert verdict.phase == "before_first_token"


def test_waits_and_limits_are_recorded_with_the_servers_own_words(stage: Stage) -> None:
    fields: list[Any] = [
        ("Retry-After", "2"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]
    with stage.play([Send(error_response(429, "slower", *fields, type_="requests", code="rate_limit_exceeded"))]):
        stage.proxy.ask(post(CHAT))
    record = stage.proxy.record()
    assert (record.retry_after_ms, record.ratelimit_limit_requests) == (2000.0, 60)
    assert record.ratelimit_reset_tokens_ms == 360_000.0
    assert (record.upstream_error_code, record.upstream_error_type) == ("rate_limit_exceeded", "requests")
