"""OpenAI's own client at the whole product: what OpenAI keeps passes and is recorded, and an answer counts once."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import openai
import pytest

from tests.stack import Stack
from tests.system.house import kill
from tests.system.scraper import scrape, total
from tests.upstream import CHUNKED, FakeUpstream, Request, Script, Send, chunked, head, json_response, response
from tests.upstream.replies import sse
from tests.waiting import wait_until

pytestmark = pytest.mark.system

MODEL: Final = "o4-mini-deep-research"
ANSWER: Final[dict[str, Any]] = {
    "id": "resp_0a1b", "object": "response", "created_at": 1, "model": MODEL, "status": "completed", "background": True,
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
    "usage": {"input_tokens": 700, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 90,
              "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 790, "cost": 0.5},
}  # fmt: skip
QUEUED: Final = ANSWER | {"status": "queued", "output": [], "usage": None}
CHAT: Final[dict[str, Any]] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-x",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}  # fmt: skip
BATCH: Final[dict[str, Any]] = {
    "id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "input_file_id": "f", "completion_window": "24h",
    "created_at": 1, "status": "completed", "model": "gpt-x",
    "usage": {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},
}  # fmt: skip
VIDEO: Final[dict[str, Any]] = {
    "id": "video_1",
    "object": "video",
    "model": "sora-2",
    "status": "queued",
    "seconds": "4",
}
FILE: Final[dict[str, Any]] = {"id": "file_1", "object": "file", "bytes": 3, "filename": "a", "purpose": "batch"}
LIST: Final = {"object": "list", "data": [], "has_more": False}
UPLOAD: Final = {
    "id": "upload_1",
    "object": "upload",
    "bytes": 3,
    "filename": "a",
    "purpose": "batch",
    "status": "pending",
}


def resumed() -> Script:
    events = (
        sse({"type": "response.output_text.delta", "delta": "Hi", "sequence_number": 8}),
        sse({"type": "response.completed", "response": ANSWER, "sequence_number": 9}),
    )
    return [Send(head(200, ("Content-Type", "text/event-stream"), CHUNKED) + chunked(*events))]


ANSWERS: Final[dict[tuple[str, str], Any]] = {
    ("POST", "/v1/responses"): QUEUED,
    ("GET", "/v1/responses/resp_0a1b"): ANSWER,
    ("POST", "/v1/responses/resp_0a1b/cancel"): ANSWER | {"status": "cancelled"},
    ("GET", "/v1/responses/resp_0a1b/input_items"): LIST,
    ("POST", "/v1/responses/compact"): {**ANSWER, "id": "cmp_1", "object": "response.compaction", "status": None},
    ("POST", "/v1/responses/input_tokens"): {"object": "response.input_tokens", "input_tokens": 11},
    ("POST", "/v1/chat/completions"): CHAT,
    ("GET", "/v1/chat/completions/chatcmpl-1"): CHAT,
    ("POST", "/v1/conversations"): {"id": "conv_1", "object": "conversation", "created_at": 1, "metadata": {}},
    ("GET", "/v1/conversations/conv_1"): {"id": "conv_1", "object": "conversation", "created_at": 1, "metadata": {}},
    ("GET", "/v1/conversations/conv_1/items"): LIST,
    ("DELETE", "/v1/conversations/conv_1"): {"id": "conv_1", "object": "conversation.deleted", "deleted": True},
    ("POST", "/v1/files"): FILE,
    ("GET", "/v1/files"): LIST,
    ("GET", "/v1/files/file_1"): FILE,
    ("POST", "/v1/uploads"): UPLOAD,
    ("POST", "/v1/batches"): BATCH | {"status": "validating", "usage": None},
    ("GET", "/v1/batches/batch_1"): BATCH,
    ("POST", "/v1/videos"): VIDEO,
    ("GET", "/v1/videos/video_1"): VIDEO
    | {"status": "failed", "error": {"code": "moderation_blocked", "message": "No."}},
    ("POST", "/v1/realtime/client_secrets"): {"value": "ek_1", "expires_at": 1, "session": {"type": "realtime"}},
}


def openai_like(request: Request) -> Script:
    path, _, query = request.target.partition("?")
    if "stream=true" in query:
        return resumed()
    if (request.method, path) == ("DELETE", "/v1/responses/resp_0a1b"):
        return [Send(response(b""))]
    if path == "/v1/files/file_1/content":
        return [Send(response(b'{"custom_id": "1"}\n', content_type="application/octet-stream"))]
    return [Send(json_response(ANSWERS[request.method, path]))]


def background(client: openai.OpenAI) -> None:
    """Ask, look, listen, cancel, delete."""
    assert client.responses.create(model=MODEL, input="x", background=True).status == "queued"
    for _ in range(3):
        assert client.responses.retrieve("resp_0a1b").status == "completed"
    events = [event.type for event in client.responses.retrieve("resp_0a1b", stream=True, starting_after=7)]
    assert events == ["response.output_text.delta", "response.completed"]
    assert client.responses.cancel("resp_0a1b").status == "cancelled"
    assert client.responses.input_items.list("resp_0a1b").data == []
    client.responses.delete("resp_0a1b")


def sums(stack: Stack) -> tuple[Any, ...]:
    """Tokens and US dollars, by all that adds them up."""
    summary = stack.get("/api/v1/summary")
    scraped = scrape(urlsplit(stack.metrics_url).port or 0)
    (row,) = stack.get("/api/v1/query", metrics="total_tokens,cost_usd")["rows"]
    return (
        summary["tokens"]["total_tokens"],
        row["values"]["total_tokens"]["value"],
        row["values"]["cost_usd"]["value"],
        total(scraped, "llm_proxy_prompt_tokens_total") + total(scraped, "llm_proxy_generation_tokens_total"),
    )


def test_a_background_answer_is_one_answer_through_any_worker_and_after_a_kill(tmp_path: Path) -> None:
    with FakeUpstream(openai_like) as upstream, Stack(upstream.url, tmp_path, workers=2) as stack:
        url = f"{stack.proxy_url}/v1"
        background(openai.OpenAI(base_url=url, api_key="k", max_retries=0))
        before = stack.records(8)
        kill(stack.metrics_pids()[0])
        for _ in range(3):
            assert openai.OpenAI(base_url=url, api_key="k", max_retries=0).responses.retrieve("resp_0a1b").usage
        wait_until(lambda: len(stack.metrics_pids()) == 1)
        records = stack.records(11)
        found = sums(stack)
    asked = [(record["method"], record["endpoint"], record["dialect"]) for record in before]
    fetch = ("GET", "/v1/responses/{id}", "openai_responses_fetch")
    assert asked == [
        ("POST", "/v1/responses", "openai_responses"), fetch, fetch, fetch, fetch,
        ("POST", "/v1/responses/{id}/cancel", "openai_responses_fetch"),
        ("GET", "/v1/responses/{id}/input_items", None), ("DELETE", "/v1/responses/{id}", None),
    ]  # fmt: skip
    sources = [record["usage_source"] for record in records]
    assert (
        sources
        == ["none", "reported", "repeated", "repeated", "repeated", "repeated", "none", "none"] + ["repeated"] * 3
    )
    shown = [record for record in records if record["usage_source"] != "none"]
    assert {record["total_tokens"] for record in shown} == {790}
    assert {record["response_model"] for record in shown} == {MODEL}
    stream = records[4]
    assert (stream["content_chunks"], stream["is_streaming"], stream["finish_reason"]) == (1, True, "completed")
    assert stream["time_to_first_token_ms"] is not None
    assert records[5]["finish_reason"] == "cancelled"
    assert found == ({"n": 1, "sum": 790}, 790, 0.5, 790)


def everything(client: openai.OpenAI) -> None:
    """What else OpenAI keeps for its users."""
    client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "Hello"}], store=True)
    client.chat.completions.retrieve("chatcmpl-1")
    client.responses.compact(model="gpt-x", input="x")
    client.responses.input_tokens.count(model="gpt-x", input="x")
    conversation = client.conversations.create()
    client.conversations.retrieve(conversation.id)
    client.conversations.items.list(conversation.id)
    client.conversations.delete(conversation.id)
    client.files.create(file=("a", b"abc"), purpose="batch")
    client.files.list()
    client.files.retrieve("file_1")
    assert client.files.content("file_1").read() == b'{"custom_id": "1"}\n'
    client.uploads.create(bytes=3, filename="a", mime_type="text/plain", purpose="batch")
    client.batches.create(completion_window="24h", endpoint="/v1/responses", input_file_id="file_1")
    client.batches.retrieve("batch_1")
    client.batches.retrieve("batch_1")
    client.videos.create(prompt="x", model="sora-2")
    client.videos.retrieve("video_1")
    client.realtime.client_secrets.create()
    for forbidden in (client.files.delete, client.batches.cancel, client.videos.delete, client.chat.completions.delete):
        with pytest.raises(openai.PermissionDeniedError):
            forbidden("some_1")


def test_what_openai_keeps_is_made_and_read_and_not_taken_away(tmp_path: Path) -> None:
    with FakeUpstream(openai_like) as upstream, Stack(upstream.url, tmp_path) as stack:
        everything(openai.OpenAI(base_url=f"{stack.proxy_url}/v1", api_key="k", max_retries=0))
        records = stack.records(23)
        found = sums(stack)
        scraped = scrape(urlsplit(stack.metrics_url).port or 0)
    read = {
        (record["dialect"], record["usage_source"]): (record["total_tokens"], record["outcome"], record["service_tier"])
        for record in records
        if record["dialect"] is not None
    }
    assert read == {
        ("openai_chat", "reported"): (7, "completed", None),
        ("openai_chat_fetch", "repeated"): (7, "completed", None),
        ("openai_responses_compact", "reported"): (790, "completed", None),
        ("openai_input_tokens", "none"): (None, "completed", None),
        ("openai_batch_fetch", "reported"): (120, "completed", "batch"),
        ("openai_batch_fetch", "repeated"): (120, "completed", "batch"),
        ("openai_videos", "none"): (None, "completed", None),
        ("conversations", "none"): (None, "completed", None),  # Mistral's path too, so its answers are read
        ("openai_video_fetch", "none"): (None, "upstream_error", None),
    }
    unread = [record["status_code"] for record in records if record["dialect"] is None]
    assert sorted(unread) == [200] * 10 + [403] * 4
    assert found[1:] == (7 + 790 + 120, 0.5, 7 + 790 + 120)
    labels = {dict(labels).get("endpoint") for (name, labels) in scraped if name == "llm_proxy_requests_total"}
    assert {"/v1/batches/{id}", "/v1/chat/completions/{id}"} <= labels
    assert not any("batch_1" in str(label) for label in labels)
