"""What servers answer through real sockets, as the verdict that is stored for it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.metrics_service import judge, settle
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.error_taxonomy import NEWEST
from llm_metrics_proxy.wire.error_types import TAXONOMY
from tests.proxy.client import CHAT, STREAMED_CHAT, post, request
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    CHUNKED,
    DONE,
    EVENT_STREAM,
    LAST_CHUNK,
    Close,
    FakeUpstream,
    Reset,
    Script,
    Send,
    Stall,
    chat_completion,
    chat_event,
    chat_events,
    chunk,
    error_response,
    head,
    json_response,
    response,
    sse,
    stream_script,
    unanswered_port,
    unused_port,
)

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


Ending = tuple[str, str | None, str | None, str | None]  # outcome, category, type, phase


def ending(record: RequestRecord) -> Ending:
    """The verdict that is stored for it."""
    verdict = judge(record, NEWEST)
    assert verdict.reason is None
    return verdict.outcome, verdict.category, verdict.type, verdict.phase


FIRST, SECOND, *_ = chat_events()
STREAM = head(200, EVENT_STREAM, CHUNKED)
REFUSED = chat_completion()
REFUSED["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
REFUSING = [chat_event({"refusal": "I cannot"}), chat_event({"refusal": " help."}), chat_event({}, "stop"), DONE]
FAILING = sse({"error": {"message": "out of memory", "type": "server_error"}})

ANSWERING: dict[str, tuple[Script, Ending]] = {
    "unanswered": ([Close()], ("network_error", "network", "reset", "before_first_token")),
    "reset": ([Reset()], ("network_error", "network", "reset", "before_first_token")),
    "not HTTP": ([Send(b"SSH-2.0-x\r\n\r\n")], ("network_error", "network", "protocol", "before_first_token")),
    "broken off": (
        [Send(STREAM + chunk(FIRST) + chunk(SECOND)), Close()],
        ("upstream_truncated", "stream", "truncated", "mid_stream"),
    ),
    "no end marker": (
        [Send(STREAM + chunk(FIRST) + chunk(SECOND) + LAST_CHUNK)],
        ("upstream_truncated", "stream", "truncated", "mid_stream"),
    ),
    "no content": (
        [Send(STREAM + chunk(FIRST) + LAST_CHUNK)],
        ("upstream_truncated", "stream", "empty", "before_first_token"),
    ),
    "broken off before any content": (
        [Send(STREAM + chunk(FIRST)), Reset()],
        ("upstream_truncated", "stream", "empty", "before_first_token"),
    ),
    "broken off, not streamed": (
        [Send(json_response(chat_completion())[:-9]), Close()],
        ("upstream_truncated", "stream", "truncated", "mid_stream"),
    ),
    "nothing": ([Send(STREAM + LAST_CHUNK)], ("upstream_truncated", "stream", "empty", "before_first_token")),
    "no JSON": (
        [Send(STREAM + chunk(FIRST) + chunk(SECOND) + chunk(b"data: {oops\n\n") + LAST_CHUNK)],
        ("upstream_truncated", "stream", "malformed", "mid_stream"),
    ),
    "a page": (
        [Send(response(b"<html><title>Log in</title></html>", content_type="text/html"))],
        ("upstream_error", "upstream", "not_an_answer", "before_first_token"),
    ),
    "an empty body": ([Send(response(b""))], ("upstream_truncated", "stream", "empty", "before_first_token")),
    "JSON that breaks off, in a frame that is whole": (
        [Send(response(json.dumps(chat_completion()).encode()[:60]))],
        ("upstream_truncated", "stream", "truncated", "mid_stream"),
    ),
    "an error in words of its own": (
        [Send(json_response({"code": 500, "success": False, "msg": "404 NOT_FOUND"}))],
        ("upstream_error", "upstream", "internal", "before_first_token"),
    ),
    "only the end marker": (stream_script([DONE]), ("upstream_truncated", "stream", "empty", "before_first_token")),
    "a refusal": ([Send(json_response(REFUSED))], ("completed", "policy", "refusal", None)),
    "a streamed refusal": (stream_script(REFUSING), ("completed", "policy", "refusal", None)),
    "a filter": (
        stream_script(chat_events(finish_reason="content_filter")),
        ("completed", "policy", "content_filter", None),
    ),
    "a guardrail": (
        stream_script(chat_events(finish_reason="guardrail_intervened")),
        ("completed", "policy", "guardrail", None),
    ),
    "an error in a stream": (
        [Send(STREAM + chunk(FIRST) + chunk(SECOND) + chunk(FAILING) + LAST_CHUNK)],
        ("upstream_error", "upstream", "internal", "mid_stream"),
    ),
    "a wordless error in a stream": (
        [Send(STREAM + chunk(SECOND) + chunk(sse({"error": {"message": "oh"}})) + LAST_CHUNK)],
        ("upstream_error", "stream", "error_event", "mid_stream"),
    ),
}


NOT_STREAMED = {"a refusal", "broken off, not streamed"}


@pytest.mark.parametrize(("case", "script", "expected"), [(case, *known) for case, known in ANSWERING.items()])
def test_how_an_answer_ends_gets_its_type(stage: Stage, case: str, script: Script, expected: Ending) -> None:
    with stage.play(script), stage.proxy.connect() as client:
        client.send(post(CHAT if case in NOT_STREAMED else STREAMED_CHAT))
        client.answer()
        assert ending(stage.proxy.record()) == expected


@pytest.mark.parametrize("case", ["a refusal", "a streamed refusal"])
def test_of_a_refusal_the_servers_own_finish_reason_stays(stage: Stage, case: str) -> None:
    with stage.play(ANSWERING[case][0]), stage.proxy.connect() as client:
        client.send(post(CHAT if case in NOT_STREAMED else STREAMED_CHAT))
        client.answer()
        record = stage.proxy.record()
    settle(record)
    assert (record.finish_reason, record.error_type, record.success) == ("stop", "refusal", True)


REFUSALS: dict[str, tuple[bytes, Ending]] = {
    "a path that may not pass": (post(path=b"/api/pull"), ("proxy_refused", "auth", "forbidden", "request")),
    "a body too large": (post(b"x" * 3000), ("proxy_refused", "request", "too_large", "request")),
    "a model of nobody": (
        post(b'{"model":"claude"}'), ("proxy_refused", "request", "model_not_found", "request"),
    ),
    "nobody for the path": (post(b"{}", path=b"/v1/messages"), ("proxy_refused", "proxy", "config", "request")),
    "a body that is no HTTP": (
        request(b"POST", b"/v1/chat/completions", b"Transfer-Encoding: chunked") + b"x\r\n",
        ("proxy_refused", "client", "bad_http", "request"),
    ),
    "a body that does not come": (post()[:-10], ("proxy_refused", "client", "slow_request", "request")),
}  # fmt: skip


@pytest.fixture(scope="module")
def picky(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    """A worker with small limits, and with backends for one dialect and some models only."""
    with FakeUpstream([Stall()]) as upstream:
        backends = [
            {"name": name, "url": upstream.url, "dialect": "openai", "models": [f"{name}*"]}
            for name in ("llama", "gpt")
        ]
        folder = tmp_path_factory.mktemp("picky")
        limits = {"body_timeout_s": 0.3, "max_body_bytes": 2000}
        with ProxyWorker(folder, "", backends=backends, **limits) as proxy:
            yield proxy


@pytest.mark.parametrize(("data", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_what_this_proxy_refuses_gets_its_type(picky: ProxyWorker, data: bytes, expected: Ending) -> None:
    picky.forget()
    assert picky.ask(data, b"POST").status in {400, 403, 404, 408, 413}
    assert ending(picky.record()) == expected


WAITS: dict[str, tuple[Script, Ending]] = {
    "first_byte_timeout": ([Stall()], ("timeout", "network", "first_byte_timeout", "before_first_token")),
    "idle_timeout": (
        [Send(STREAM + chunk(FIRST) + chunk(SECOND)), Stall()],
        ("timeout", "network", "idle_timeout", "mid_stream"),
    ),
}


@pytest.mark.parametrize(("limit", "case"), WAITS.items(), ids=WAITS)
def test_a_server_that_falls_silent_gets_its_type(tmp_path: Path, limit: str, case: tuple[Script, Ending]) -> None:
    script, expected = case
    with FakeUpstream(script) as upstream, ProxyWorker(tmp_path, upstream.url, **{f"{limit}_s": 0.3}) as proxy:
        proxy.ask(post(STREAMED_CHAT))
        assert ending(proxy.record()) == expected


@pytest.fixture(scope="module")
def unreachable() -> Iterator[dict[str, str]]:
    """Addresses by what happens to those who connect there."""
    with unanswered_port() as silent, FakeUpstream(on_connect=[Send(b"SSH-2.0-x\r\n"), Stall()]) as plain:
        yield {
            "dns": "http://no-such-host.invalid",
            "connect_refused": f"http://127.0.0.1:{unused_port()}",
            "connect_failed": "http://255.255.255.255:9",  # the kernel knows no way there, and sends nothing
            "connect_timeout": f"http://127.0.0.1:{silent}",
            "tls": f"https://127.0.0.1:{plain.port}",
        }


@pytest.mark.parametrize("kind", ["dns", "connect_refused", "connect_failed", "connect_timeout", "tls"])
def test_a_server_that_cannot_be_reached_gets_its_type(tmp_path: Path, unreachable: dict[str, str], kind: str) -> None:
    with ProxyWorker(tmp_path, unreachable[kind], connect_timeout_s=0.5) as proxy:
        proxy.ask(post())
        outcome = "timeout" if kind == "connect_timeout" else "network_error"
        assert ending(proxy.record()) == (outcome, "network", kind, "connect")


def test_a_client_that_leaves_gets_its_type(stage: Stage) -> None:
    left = "client_disconnected", "client"
    with stage.play([Stall()]) as upstream:
        with stage.proxy.connect() as client:
            client.send(post(STREAMED_CHAT))
            upstream.wait_for_requests(1)
        assert ending(stage.proxy.record()) == (*left, "disconnect_before_first_token", "before_first_token")
    stage.proxy.forget()
    with stage.play([Send(STREAM + chunk(FIRST) + chunk(SECOND)), Stall()]):
        with stage.proxy.connect() as client:
            client.send(post(STREAMED_CHAT))
            client.read_until(SECOND)
        assert ending(stage.proxy.record()) == (*left, "disconnect_mid_stream", "mid_stream")


def test_who_finds_no_free_connection_is_refused_by_a_full_proxy(tmp_path: Path) -> None:
    options = {"upstream_max_connections": 1, "connect_timeout_s": 0.3}
    with FakeUpstream([Stall()]) as upstream, ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        with proxy.connect() as client:
            client.send(post())
            upstream.wait_for_requests(1)
            assert proxy.ask(post()).status == 503
            assert ending(proxy.record()) == ("proxy_refused", "proxy", "saturated", "connect")
        proxy.records(2)


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ([], ("proxy_refused", "proxy", "shutdown", "before_first_token")),
        ([Send(STREAM + chunk(FIRST) + chunk(SECOND))], ("proxy_crashed", "proxy", "shutdown", "mid_stream")),
    ],
    ids=["before its head", "in the middle"],
)
def test_an_answer_that_this_proxys_stop_cuts_off_gets_its_type(
    tmp_path: Path, begun: list[Send], expected: Ending
) -> None:
    with (
        FakeUpstream([*begun, Stall()]) as upstream,
        ProxyWorker(tmp_path, upstream.url, drain_timeout_s=0.1) as proxy,
        proxy.connect() as client,
    ):
        client.send(post(STREAMED_CHAT))
        upstream.wait_for_requests(1)
        if begun:
            client.read_until(SECOND)
        proxy.terminate()
        client.ends()
        assert proxy.ended() == 0
        assert ending(proxy.record()) == expected


def test_a_fault_of_this_proxy_is_its_own(tmp_path: Path) -> None:
    with FakeUpstream([Stall()]) as upstream:
        backends = [{"name": name, "url": upstream.url} for name in ("one", "two")]
        proxy = ProxyWorker(tmp_path, "", module="tests.proxy.faulty_worker", backends=backends)
        try:
            assert proxy.ask(request(b"GET", b"/v1/models")).status == 502
            assert ending(proxy.record()) == ("proxy_crashed", "proxy", "internal", "connect")
            assert "a fault that was put here on purpose" in proxy.log
        finally:
            proxy.kill()


def test_every_type_is_reached_through_sockets_here_or_where_its_cause_can_be_made() -> None:
    """A worker's death is made in tests/system/test_errors.py, a record that is lost in tests/system/test_full_disk.py.

    ``unknown`` is for older records: whatever a worker writes down has a status or a word that is known.
    """
    elsewhere = {("proxy", "crashed"), ("proxy", "record_lost"), ("unknown", "unknown")}
    here: set[tuple[str | None, str | None]] = {(category, kind) for _, category, kind in ANSWERS}
    here |= {(expected[1], expected[2]) for _, expected in (*ANSWERING.values(), *REFUSALS.values(), *WAITS.values())}
    here |= {("network", kind) for kind in ("dns", "connect_refused", "connect_failed", "connect_timeout", "tls")}
    here |= {("client", kind) for kind in ("disconnect_before_first_token", "disconnect_mid_stream")}
    here |= {("proxy", kind) for kind in ("saturated", "shutdown", "internal")}
    assert here | elsewhere == {(row.category, row.type) for row in TAXONOMY}
    assert not here & elsewhere
