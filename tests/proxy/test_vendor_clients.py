"""Vendors' own clients, a server that answers as theirs do, and the proxy between them: nothing is lost on the way."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import groq
import huggingface_hub
import mistralai.client
import openai
import pytest

from tests.proxy.conftest import Stage
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    FakeUpstream,
    Request,
    Script,
    Send,
    chunked,
    head,
    json_response,
    response,
)  # fmt: skip
from tests.wire.apis.test_anthropic_batches import RESULTS
from tests.wire.apis.test_generate import DETAILS, TGI
from tests.wire.apis.test_mistral import STREAM as CONVERSATION
from tests.wire.streams import CHAT, TRANSCRIPT

pytestmark = pytest.mark.system

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TRANSCRIBED = {"text": "hello", "usage": {"type": "tokens", "input_tokens": 5, "output_tokens": 2, "total_tokens": 7}}
BATCH = {
    "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "created_at": "2026-08-20T18:37:24Z",
    "expires_at": "2026-08-21T18:37:24Z", "request_counts": {
        "canceled": 0, "errored": 1, "expired": 1, "processing": 0, "succeeded": 2,
    },
}  # fmt: skip


def completion(model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hi", "tool_calls": None}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": model, "usage": USAGE, "choices": [choice]}


def streamed(*events: bytes) -> Script:
    return [Send(head(200, EVENT_STREAM, CHUNKED) + chunked(*events))]


def vendors(request: Request) -> Script:
    """What each vendor's API reference says of the path that is asked."""
    path = request.target.partition("?")[0]
    if path == "/v1/messages/batches/msgbatch_1/results":
        return [Send(response(b"".join(RESULTS), content_type="application/x-jsonl"))]
    if path.startswith("/v1/messages/batches"):
        # Anthropic itself names its own address here, so that its clients fetch the results past any proxy.
        asked_as = request.header("x-forwarded-host") or request.header("host")
        return [Send(json_response({**BATCH, "results_url": f"http://{asked_as}{path}/results"}))]
    if path.endswith("/audio/transcriptions"):
        return streamed(*TRANSCRIPT) if b"true" in request.body else [Send(json_response(TRANSCRIBED))]
    asked = request.json()
    if path == "/embed":
        fields = [("x-compute-tokens", "8"), ("x-compute-characters", "20"), ("x-total-time", "12")]
        return [Send(json_response([[0.25, -0.5]] * 2, *fields))]
    if path == "/" and asked.get("stream"):
        return streamed(*TGI)
    if path == "/":
        fields = [("x-prompt-tokens", "5"), ("x-generated-tokens", "3"), ("x-total-time", "250")]
        whole = {"generated_text": "Hi!", "details": {**DETAILS, "prefill": [], "tokens": []}}
        del whole["details"]["input_length"]  # type: ignore[attr-defined]
        return [Send(json_response([whole], *fields))]
    if path == "/v1/conversations":
        return streamed(*CONVERSATION)
    if asked.get("stream"):
        return streamed(*CHAT)
    return [Send(json_response(completion(asked.get("model") or "an-agents-model")))]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(vendors) as upstream:
        yield upstream


def _wav() -> tuple[str, io.BytesIO]:
    return "a.wav", io.BytesIO(b"RIFF" + b"\0" * 5000)


HELLO: Any = [{"role": "user", "content": "Hi"}]
ITEM: Any = {"custom_id": "a", "params": {"model": "claude-x", "max_tokens": 9, "messages": HELLO}}
Call = Callable[[str], Any]


def _groq(ask: Callable[[groq.Groq], Any]) -> Call:
    def call(url: str) -> Any:
        with groq.Groq(api_key="k", base_url=url) as client:
            return ask(client)

    return call


def _mistral(ask: Callable[[mistralai.client.Mistral], Any]) -> Call:
    def call(url: str) -> Any:
        with mistralai.client.Mistral(api_key="k", server_url=url) as client:
            return ask(client)

    return call


def _hugging_face(ask: Callable[[huggingface_hub.InferenceClient], Any], path: str = "") -> Call:
    def call(url: str) -> Any:
        try:
            with huggingface_hub.InferenceClient(model=url + path) as client:
                return ask(client)
        finally:
            huggingface_hub.close_session()

    return call


def _anthropic(ask: Callable[[anthropic.Anthropic], Any]) -> Call:
    def call(url: str) -> Any:
        with anthropic.Anthropic(api_key="k", base_url=url) as client:
            return ask(client)

    return call


def _openai_transcript(url: str) -> list[Any]:
    with openai.OpenAI(api_key="k", base_url=url + "/v1") as client:
        return list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=_wav(), stream=True))


def _conversation(client: mistralai.client.Mistral) -> list[Any]:
    with client.beta.conversations.start_stream(inputs="x", model="mistral-medium-latest") as events:
        return [event.event for event in events]


CALLS: dict[str, tuple[Call, dict[str, Any]]] = {
    "groq": (
        _groq(lambda client: client.chat.completions.create(model="llama", messages=HELLO)),
        {"dialect": "openai_chat", "model": "llama", "total_tokens": 7, "endpoint": "/openai/v1/chat/completions"},
    ),
    "groq-streamed": (
        _groq(lambda client: list(client.chat.completions.create(model="llama", messages=HELLO, stream=True))),
        {"dialect": "openai_chat", "is_streaming": True, "content_chunks": 3, "total_tokens": 7},
    ),
    "groq-transcription": (
        _groq(lambda client: client.audio.transcriptions.create(model="whisper", file=_wav(), temperature=0.5)),
        {"dialect": "openai_transcriptions", "model": "whisper", "temperature": 0.5, "total_tokens": 7},
    ),
    "openai-transcription": (
        _openai_transcript,
        {"dialect": "openai_transcriptions", "model": "gpt-4o-transcribe", "is_streaming": True, "content_chunks": 2,
         "prompt_tokens": 14, "completion_tokens": 4},
    ),
    "mistral-fim": (
        _mistral(lambda client: client.fim.complete(model="codestral", prompt="def", suffix="return", max_tokens=9)),
        {"dialect": "mistral_fim", "model": "codestral", "max_tokens": 9, "total_tokens": 7},
    ),
    "mistral-agents": (
        _mistral(lambda client: client.agents.complete(agent_id="ag_1", messages=HELLO)),
        {"dialect": "mistral_agents", "model": None, "response_model": "an-agents-model", "total_tokens": 7},
    ),
    "mistral-conversation": (
        _mistral(_conversation),
        {"dialect": "conversations", "model": "mistral-medium-latest", "is_streaming": True, "content_chunks": 6,
         "response_id": "conv_06", "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355},
    ),
    "tgi": (
        _hugging_face(lambda client: client.text_generation("Hi", details=True, max_new_tokens=9)),
        {"dialect": "generate_root", "max_tokens": 9, "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
         "finish_reason": "eos_token", "server_total_ms": 250.0},
    ),
    "tgi-streamed": (
        _hugging_face(lambda client: list(client.text_generation("Hi", details=True, stream=True))),
        {"dialect": "generate_root", "is_streaming": True, "content_chunks": 2, "prompt_tokens": 5, "total_tokens": 8},
    ),
    "tei": (
        _hugging_face(lambda client: client.feature_extraction(["a", "b"]).tolist(), "/embed"),
        {"dialect": "tei_embed", "message_count": 2, "prompt_tokens": 8, "completion_tokens": None,
         "usage_source": "reported", "server_total_ms": 12.0},
    ),
    "anthropic-batch": (
        _anthropic(lambda client: client.messages.batches.create(requests=[ITEM] * 2).id),
        {"dialect": "anthropic_batch", "model": "claude-x", "message_count": 2, "response_id": "msgbatch_1",
         "total_tokens": None},
    ),
    "anthropic-batch-results": (
        _anthropic(lambda client: list(client.messages.batches.results("msgbatch_1"))),
        {"dialect": "anthropic_batch_fetch", "response_model": "claude-x", "prompt_tokens": 80,
         "completion_tokens": 16, "cached_tokens": 10, "service_tier": "batch", "response_id": "msgbatch_1",
         "is_streaming": False, "time_to_first_token_ms": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_the_client_is_told_the_same_and_the_record_knows(name: str, server: FakeUpstream, stage: Stage) -> None:
    call, told = CALLS[name]
    with stage.play(vendors):
        through = call(f"http://127.0.0.1:{stage.proxy.port}")
        assert through
        assert through == call(server.url)
        record = stage.proxy.records(2 if name == "anthropic-batch-results" else 1)[-1]  # that client asks for it first
    assert {fact: getattr(record, fact) for fact in told} == told
    assert record.outcome == "completed"
