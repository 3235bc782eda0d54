"""Events and errors of many MB through real sockets: untouched bytes, one record with all facts, bounded memory."""

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.proxy.client import post
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.proxy.test_memory import MIB, Peak, warm
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Pause,
    Script,
    Send,
    chunk,
    compressed,
    head,
    response,
    sse,
)  # fmt: skip

pytestmark = pytest.mark.system

PICTURE: Final = "data:image/png;base64," + "iVBORw0KGgo+" * 130_000  # 1.5 MB
USAGE: Final = {"prompt_tokens": 5, "completion_tokens": 1290, "total_tokens": 1295}
OUTPUT: Final = [{"type": "message", "content": [{"type": "output_text", "text": "word " * 600}]}] * 3400  # 10 MB
RESPONSE: Final = {"id": "resp_1", "model": "m", "status": "completed", "output": OUTPUT,
                   "usage": {"input_tokens": 5, "output_tokens": 1290, "total_tokens": 1295}}  # fmt: skip
NDJSON: Final = ("Content-Type", "application/x-ndjson")


def named(kind: str, **members: Any) -> bytes:
    return b"event: " + kind.encode() + b"\n" + sse({"type": kind, **members})


def line(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}).encode() + b"\n"


KINDS: Final[dict[str, tuple[bytes, tuple[str, str], list[bytes]]]] = {
    "chat": (b"/v1/chat/completions", EVENT_STREAM, [
        sse({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": PICTURE}, "finish_reason": None}]}),
        sse({"model": "m", "choices": [{"index": 0, "delta": {"content": PICTURE}, "finish_reason": "stop"}],
             "usage": USAGE}),
    ]),
    "responses": (b"/v1/responses", EVENT_STREAM, [
        named("response.output_text.delta", delta="Hi"), named("response.completed", response=RESPONSE),
    ]),
    "anthropic": (b"/v1/messages", EVENT_STREAM, [
        named("message_start", message={"id": "msg", "model": "m", "usage": {"input_tokens": 5}}),
        named("content_block_start", index=0, content_block={"type": "web_search_tool_result", "content": PICTURE}),
        named("content_block_delta", index=1, delta={"type": "text_delta", "text": PICTURE}),
        named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1290}),
    ]),
    "ollama": (b"/api/chat", NDJSON, [
        line(message={"role": "assistant", "content": PICTURE}, done=False),
        line(message={"role": "assistant", "content": ""}, context=[12345] * 300_000, done=True, done_reason="stop",
             prompt_eval_count=5, eval_count=1290),
    ]),
    "images": (b"/v1/images/generations", EVENT_STREAM, [
        named("image_generation.partial_image", b64_json=PICTURE, partial_image_index=0),
        named("image_generation.completed", b64_json=PICTURE, usage={"input_tokens": 5, "output_tokens": 1290}),
    ]),
}  # fmt: skip


def served(kind: str, *, coding: str | None = None, pause_s: float = 0.0) -> Script:
    _, media, events = KINDS[kind]
    fields = () if coding is None else (("Content-Encoding", coding),)
    stream = b"".join(events)
    body = stream if coding is None else compressed(stream, coding)
    pieces = [body[start : start + 300_001] for start in range(0, len(body), 300_001)]
    sent = [step for piece in pieces for step in (Send(chunk(piece)), Pause(pause_s))]
    return [Send(head(200, media, CHUNKED, *fields)), *sent, Send(LAST_CHUNK)]


@pytest.mark.parametrize("coding", [None, "gzip"])
@pytest.mark.parametrize("kind", KINDS)
def test_large_events_pass_untouched_and_give_their_facts(stage: Stage, kind: str, coding: str | None) -> None:
    path, _, events = KINDS[kind]
    with stage.play(served(kind, coding=coding)), stage.proxy.connect() as client:
        client.send(post(b'{"model":"m","stream":true}', path=path))
        answer = client.answer()
    stream = b"".join(events)
    assert answer.body == (stream if coding is None else compressed(stream, coding))
    record = stage.proxy.record()
    assert (record.outcome, record.success, record.error_type) == ("completed", True, None)
    assert record.total_tokens == 1295
    assert record.time_to_first_token_ms is not None
    assert record.time_to_first_output_ms is not None


@pytest.mark.parametrize(
    ("media", "body", "expected"),
    [
        ("text/html", b"<html><title>502 Bad Gateway</title>" + b"<p>sorry</p>" * 400_000, (None, "502 Bad Gateway")),
        ("application/json", json.dumps({"error": {"message": "m" * MIB, "code": "c"}}).encode(), ("c", "m" * 500)),
        ("application/json", json.dumps({"seen": ["r" * 100] * 10_000, "error": {"code": "c", "message": "Sorry"}})
         .encode(), ("c", "Sorry")),
    ],
)  # fmt: skip
def test_large_errors_say_what_small_ones_say(
    stage: Stage, media: str, body: bytes, expected: tuple[str | None, str]
) -> None:
    with stage.play([Send(response(body, ("Content-Type", media), status=502))]):
        assert stage.proxy.ask(post()).body == body
    record = stage.proxy.record()
    assert (record.upstream_error_code, record.error_message) == expected


def at_once(count: int, ask: Callable[[], None]) -> None:
    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_many_large_events_at_once_stay_within_the_bound(tmp_path: Path) -> None:
    """Twenty of 10 MB each, all unfinished at the same time: held plainly that would be 200 MB."""
    count, path = 20, KINDS["responses"][0]
    with ExitStack() as stack:
        script = served("responses", pause_s=0.02)
        upstream = stack.enter_context(
            FakeUpstream(lambda request: [Send(response(b"{}"))] if request.method == "GET" else script)
        )
        proxy = stack.enter_context(ProxyWorker(tmp_path, upstream.url))
        warm(proxy)
        received: list[int] = []

        def ask() -> None:
            with proxy.connect() as client:
                client.send(post(b'{"model":"m","stream":true}', path=path))
                received.append(len(client.answer().body))

        with Peak(proxy) as peak:
            at_once(count, ask)
        stream = b"".join(KINDS["responses"][2])
        assert received == [len(stream)] * count
        assert peak.growth_bytes < count * (MIB + MIB // 4) + 16 * MIB
        records = [record for record in proxy.records(count + 20) if record.endpoint == path.decode()]
    assert {record.total_tokens for record in records} == {1295}
    assert len(records) == count
