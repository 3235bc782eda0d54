"""Google's own client, a server that answers as Google does, and the proxy between them: nothing is lost on the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anthropic import AnthropicVertex
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from tests.proxy.client import get, post
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import CHUNKED, Echo, FakeUpstream, Pause, Request, Script, Send, chunk, chunked, head, response
from tests.wire.apis.test_gemini_interactions import ANSWER as INTERACTION
from tests.wire.streams import ANTHROPIC, CHAT, GEMINI, INTERACTIONS, gemini_usage, generated, google_array, google_sse

pytestmark = pytest.mark.system

KEY = "AIzaSy-of-a-client-0123456789"
CALL = {"functionCall": {"name": "weather", "args": {"city": "Zürich"}}}
USAGE = gemini_usage(12, candidatesTokenCount=8, thoughtsTokenCount=9, cachedContentTokenCount=4, totalTokenCount=29)
SLOWER = {
    "code": 429, "message": "Resource has been exhausted (e.g. check quota).", "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}],
}  # fmt: skip


def google_handler(asked: Request) -> Script:
    """The API reference: the method behind the model, indented JSON, streams of server-sent events or an array."""
    path, _, query = asked.target.partition("?")
    model, _, method = path.rpartition("/")[2].partition(":")
    if path.endswith("/interactions"):
        if asked.json().get("stream"):
            return [Send(head(200, ("content-type", "text/event-stream"), CHUNKED) + chunked(*INTERACTIONS))]
        return _json(INTERACTION)
    if "/publishers/anthropic/" in path:
        return _claude(asked, model)
    if asked.method == "GET":
        card = {"name": f"models/{model}", "displayName": "Gemini", "inputTokenLimit": 1_048_576}
        return _json({"models": [{**card, "name": "models/gemini-x"}]} if model == "models" else card)
    if model == "busy":
        return _json({"error": SLOWER}, 429)
    if method == "countTokens":
        return _json({"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]})
    if method == "embedContent":
        return _json({"embedding": {"values": [0.25, -0.5]}, "usageMetadata": {"promptTokenCount": 6}})
    if method == "batchEmbedContents":
        return _json({"embeddings": [{"values": [0.25, -0.5]}] * len(asked.json()["requests"])})
    if method == "predict" and model.startswith("imagen"):
        return _json({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "iVBORw0KGgo="}]})
    if method == "predict":
        statistics = {"truncated": False, "token_count": 3}
        predictions = [{"embeddings": {"values": [0.25], "statistics": statistics}} for _ in asked.json()["instances"]]
        return _json({"predictions": predictions, "metadata": {"billableCharacterCount": 9}})
    if model == "blocked":
        return _json({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "gemini-x"})
    if method == "generateContent":
        thought = {"text": "**Weather** I look.", "thought": True}
        return _json(generated(thought, {"text": "It is"}, CALL, finish="STOP", usage=USAGE))
    answers = [GEMINI[0], GEMINI[1], {"error": SLOWER}] if model == "breaks" else GEMINI
    streamed = "alt=sse" in query.split("&")
    pieces = google_sse(*answers) if streamed else google_array(*answers)
    media = "text/event-stream" if streamed else "application/json; charset=UTF-8"
    script: list[Send | Pause] = [Send(head(200, ("content-type", media), CHUNKED))]
    for piece in pieces[:-1]:
        script += [Send(chunk(piece)), Pause(0.02)]
    return [*script, Send(chunk(pieces[-1]) + b"0\r\n\r\n")]


def _claude(asked: Request, model: str) -> Script:
    """Anthropic's Messages as Vertex AI passes them on: without a model in the body."""
    body = asked.json()
    if model == "count-tokens":
        return _json({"input_tokens": 14})
    assert ("anthropic_version" in body, "model" in body) == (True, False)
    if body.get("stream"):
        return [Send(head(200, ("content-type", "text/event-stream"), CHUNKED) + chunked(*ANTHROPIC))]
    usage = {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 7}
    return _json({"id": "msg_vrtx_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-20250514",
                  "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": usage})  # fmt: skip


def _json(value: object, status: int = 200) -> Script:
    body = json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    return [Send(response(body, status=status, content_type="application/json; charset=UTF-8"))]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(google_handler) as upstream:
        yield upstream


@pytest.fixture
def playing(stage: Stage) -> Iterator[Stage]:
    with stage.play(google_handler):
        yield stage


def options(url: str) -> types.HttpOptions:
    return types.HttpOptions(base_url=url, retry_options=types.HttpRetryOptions(attempts=1))


@pytest.fixture
def through(playing: Stage) -> Iterator[genai.Client]:
    with genai.Client(api_key=KEY, http_options=options(f"http://127.0.0.1:{playing.proxy.port}")) as client:
        yield client


@pytest.fixture
def direct(server: FakeUpstream) -> Iterator[genai.Client]:
    with genai.Client(api_key=KEY, http_options=options(server.url)) as client:
        yield client


def vertex_client(url: str) -> genai.Client:
    return genai.Client(
        vertexai=True, project="p-1", location="europe-west1", credentials=Credentials(token="ya29.token"),  # type: ignore[no-untyped-call]
        http_options=options(url),
    )  # fmt: skip


CONFIG: Any = {
    "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9, "candidate_count": 1,
    "thinking_config": {"include_thoughts": True},
    "tools": [{"function_declarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {}}}]}],
}  # fmt: skip
ASKED: dict[str, Any] = {
    "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "choice_count": 1, "tool_count": 1, "message_count": 1,
}  # fmt: skip
COUNTED: dict[str, Any] = {
    "prompt_tokens": 12, "completion_tokens": 17, "reasoning_tokens": 9, "cached_tokens": 4, "total_tokens": 29,
    "finish_reason": "STOP", "response_model": "gemini-x", "response_id": "r1", "tool_call_count": 1,
}  # fmt: skip
GENERATE: dict[str, Any] = {"contents": "What is the weather?", "config": CONFIG}
CALLS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "generate": ("generate_content", GENERATE,
                 {"dialect": "gemini_generate", "is_streaming": False, **ASKED, **COUNTED}),
    "stream": ("generate_content_stream", GENERATE,
               {"dialect": "gemini_stream", "is_streaming": True, "content_chunks": 3, **ASKED, **COUNTED}),
    "count": ("count_tokens", {"contents": "How many?"},
              {"dialect": "gemini_count_tokens", "message_count": 1, "prompt_tokens": None, "usage_source": "none"}),
}  # fmt: skip
GEMINI_CALLS = CALLS | {
    "embed": ("embed_content", {"contents": ["a", "b"]}, {"dialect": "gemini_embed", "message_count": 2}),
}  # fmt: skip
VERTEX_CALLS = CALLS | {
    "embed": ("embed_content", {"contents": ["a", "b"]},
              {"dialect": "vertex_embed", "message_count": 2, "prompt_tokens": 6}),
    "images": ("generate_images", {"prompt": "a cat", "config": {"number_of_images": 1}},
               {"dialect": "gemini_images", "message_count": 1, "choice_count": 1}),
}  # fmt: skip


MODELS = {"images": "imagen-4.0-generate-001", "embed": "text-embedding-005"}


def told_by(client: genai.Client, name: str, method: str, call: dict[str, Any]) -> list[Any]:
    answer = getattr(client.models, method)(model=MODELS.get(name, "gemini-2.5-pro"), **call)
    parts = list(answer) if method.endswith("_stream") else [answer]
    return [part.model_dump(exclude={"sdk_http_response"}) for part in parts]


@pytest.mark.parametrize("name", GEMINI_CALLS)
def test_the_client_is_told_the_same_and_the_record_what_happened(
    name: str, direct: genai.Client, through: genai.Client, playing: Stage
) -> None:
    method, call, told = GEMINI_CALLS[name]
    assert told_by(through, name, method, call) == told_by(direct, name, method, call)
    record = playing.proxy.record()
    assert {fact: getattr(record, fact) for fact in told} == told
    assert record.outcome == "completed"
    assert (record.user_agent or "").startswith("google-genai-sdk/")
    assert record.model == MODELS.get(name, "gemini-2.5-pro")
    assert record.api_key_id is not None
    assert (record.time_to_first_token_ms is not None) is (name == "stream")
    if name == "stream":
        assert (record.time_to_first_output_ms or 0) > (record.time_to_first_token_ms or 0)  # it thinks first


@pytest.mark.parametrize("name", VERTEX_CALLS)
def test_vertex_ai_is_told_the_same(name: str, server: FakeUpstream, playing: Stage) -> None:
    method, call, told = VERTEX_CALLS[name]
    with vertex_client(f"http://127.0.0.1:{playing.proxy.port}") as through, vertex_client(server.url) as direct:
        assert told_by(through, name, method, call) == told_by(direct, name, method, call)
    record = playing.proxy.record()
    assert {fact: getattr(record, fact) for fact in told} == told
    assert record.endpoint.startswith("/v1beta1/projects/p-1/locations/europe-west1/publishers/google/models/")
    assert (record.outcome, record.api_key_id is not None) == ("completed", True)


def test_an_error_is_told_in_googles_words_and_says_when_to_come_back(through: genai.Client, playing: Stage) -> None:
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        through.models.generate_content(model="busy", contents="Hi")
    record = playing.proxy.record()
    assert (record.outcome, record.status_code, record.upstream_error_type) == (
        "upstream_error", 429, "RESOURCE_EXHAUSTED"
    )  # fmt: skip
    assert (record.retry_after_ms, record.error_message) == (34500.0, SLOWER["message"])


def test_an_error_in_the_middle_reaches_the_client_and_the_record(through: genai.Client, playing: Stage) -> None:
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        list(through.models.generate_content_stream(model="breaks", contents="Hi"))
    record = playing.proxy.record()
    assert (record.success, record.content_chunks, record.upstream_error_type) == (False, 2, "RESOURCE_EXHAUSTED")
    assert record.retry_after_ms == 34500.0


def test_interactions_whole_and_streamed(through: genai.Client, playing: Stage) -> None:
    asked: Any = {"model": "gemini-2.5-pro", "input": "What is the weather?"}
    whole = through.interactions.create(**asked)
    events = list(through.interactions.create(**asked, stream=True))
    assert (whole.id, len(events)) == ("int-1", len(INTERACTIONS))
    expected = {
        "dialect": "gemini_interactions", "model": "gemini-2.5-pro", "message_count": 1, "prompt_tokens": 15,
        "completion_tokens": 17, "reasoning_tokens": 9, "finish_reason": "requires_action", "outcome": "completed",
    }  # fmt: skip
    first, second = playing.proxy.records(2)
    for record in (first, second):
        assert {fact: getattr(record, fact) for fact in expected} == expected
    assert (first.is_streaming, second.is_streaming, second.content_chunks) == (False, True, 7)


def test_a_session_of_the_live_api_is_relayed_and_leaves_one_record(stage: Stage) -> None:
    path = b"/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=" + KEY.encode()
    agreed = head(101, ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "xyz"))
    with stage.play([Send(agreed), Echo()]) as upstream, stage.proxy.connect() as client:
        client.send(get(path, b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"))
        assert client.head().status == 101
        client.send(b"\x82\x02{}")
        assert client.read(4) == b"\x82\x02{}"
        client.close()
        assert upstream.connections[0].peer_closed.wait(10)
        record = stage.proxy.record()
    assert (record.endpoint, record.outcome, record.dialect) == (path.decode().partition("?")[0], "completed", None)
    assert (record.websocket_frames_sent, record.api_key_id is not None) == (1, True)


def test_a_blocked_prompt_is_complete_and_flagged(through: genai.Client, playing: Stage) -> None:
    answer = through.models.generate_content(model="blocked", contents="Hi")
    assert answer.prompt_feedback is not None
    record = playing.proxy.record()
    assert (record.outcome, record.success, record.error_type, record.finish_reason) == (
        "completed", True, "content_filter", "PROHIBITED_CONTENT"
    )  # fmt: skip


def test_models_are_listed_and_looked_up(through: genai.Client, playing: Stage) -> None:
    assert [model.name for model in through.models.list()] == ["models/gemini-x"]
    assert through.models.get(model="gemini-x").name == "models/gemini-x"
    listed, one = playing.proxy.records(2)
    assert (listed.endpoint, one.endpoint) == ("/v1/models", "/v1/models/gemini-x")


def test_an_array_that_arrives_piece_by_piece_is_a_stream(playing: Stage) -> None:
    path = b"/v1beta/models/gemini-2.5-pro:streamGenerateContent"
    answer = playing.proxy.ask(post(b'{"contents": [{}]}', path=path + b"?key=" + KEY.encode()))
    assert answer.body == b"".join(google_array(*GEMINI))
    record = playing.proxy.record()
    expected = {"dialect": "gemini_stream", "is_streaming": True, "content_chunks": 3, **COUNTED}
    assert {fact: getattr(record, fact) for fact in expected} == expected
    assert record.time_to_first_token_ms is not None
    assert (record.inter_chunk_max_ms or 0) > 10


def test_a_key_has_one_id_in_header_and_query_and_is_written_nowhere(server: FakeUpstream, tmp_path: Path) -> None:
    path, key = b"/v1beta/models/g:countTokens", KEY.encode()
    with ProxyWorker(tmp_path, server.url, log_level="debug") as proxy:
        proxy.ask(post(b"{}", b"x-goog-api-key: " + key, path=path))
        proxy.ask(post(b"{}", path=path + b"?key=" + key))
        proxy.ask(get(b"/v1beta/models?key=" + key))
        assert proxy.ask(post(b"{}", path=b"/v1beta/files?key=" + key)).status == 403
        *records, _ = proxy.records(4)
        assert "/v1beta/models" in proxy.log
    assert len({record.api_key_id for record in records}) == 1
    assert records[0].api_key_id is not None
    assert [record.endpoint for record in records] == [path.decode(), path.decode(), "/v1beta/models"]
    assert KEY not in repr(records)
    assert not any(key in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_anthropics_client_for_vertex_ai(playing: Stage) -> None:
    url = f"http://127.0.0.1:{playing.proxy.port}/v1"
    hello: Any = [{"role": "user", "content": "Hi"}]
    model = "claude-sonnet-4@20250514"
    with AnthropicVertex(
        region="europe-west1", project_id="p-1", access_token="ya29.token", base_url=url, max_retries=0
    ) as client:
        whole = client.messages.create(model=model, max_tokens=50, messages=hello)
        with client.messages.stream(model=model, max_tokens=50, messages=hello) as stream:
            streamed = stream.get_final_message()
        assert client.messages.count_tokens(model=model, messages=hello).input_tokens == 14
    assert (whole.usage.output_tokens, streamed.usage.output_tokens) == (7, 89)
    first, second, third = playing.proxy.records(3)
    assert [record.model for record in (first, second, third)] == [model] * 3
    assert [record.dialect for record in (first, second, third)] == [
        "vertex_messages", "vertex_messages", "vertex_count_tokens"
    ]  # fmt: skip
    assert [record.is_streaming for record in (first, second)] == [False, True]
    assert (first.prompt_tokens, first.completion_tokens, first.cached_tokens) == (30, 7, 5)
    assert (second.prompt_tokens, second.completion_tokens, second.tool_call_count) == (40, 89, 1)
    assert second.time_to_first_token_ms is not None
    assert first.endpoint == f"/v1/projects/p-1/locations/europe-west1/publishers/anthropic/models/{model}:rawPredict"
    assert third.usage_source == "none"


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("publishers/mistralai/models/mistral-small-2503:streamRawPredict", {"model": "mistral-small-2503"},
         {"dialect": "vertex_raw_chat", "model": "mistral-small-2503"}),
        ("endpoints/openapi/chat/completions", {"model": "meta/llama-4-maverick-17b-128e-instruct-maas"},
         {"dialect": "vertex_chat", "model": "meta/llama-4-maverick-17b-128e-instruct-maas"}),
    ],
)  # fmt: skip
def test_other_makers_chats_on_vertex_ai_are_read(
    path: str, body: dict[str, Any], told: dict[str, Any], stage: Stage
) -> None:
    with stage.play([Send(head(200, ("content-type", "text/event-stream"), CHUNKED) + chunked(*CHAT))]):
        asked = json.dumps({**body, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}).encode()
        stage.proxy.ask(post(asked, path=b"/v1/projects/p-1/locations/us-central1/" + path.encode()))
        record = stage.proxy.record()
    expected = {**told, "is_streaming": True, "prompt_tokens": 4, "completion_tokens": 3, "content_chunks": 3}
    assert {fact: getattr(record, fact) for fact in expected} == expected
