"""Google's embeddings and pictures, and what Vertex AI passes on of others."""

import json
from typing import Any

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy, Route
from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.wire.apis.google_others import GoogleBodyReader, GoogleRequest, google_tokens
from llm_metrics_proxy.wire.base import ErrorFacts, RequestFacts
from llm_metrics_proxy.wire.dialects import Family
from llm_metrics_proxy.wire.endpoints import family_of
from llm_metrics_proxy.wire.facts import Usage
from tests.wire.counted import Read
from tests.wire.streams import facts_of

PROJECT = "/v1/projects/p-1/locations/europe-west1"
BETA = "/v1beta1/projects/p-1/locations/global"


def route(path: str, method: bytes = b"POST") -> Route:
    return PathPolicy().route(method, path.encode())


def whole_facts(value: object) -> Read:
    """The same for small and large bodies, or this fails."""
    body = json.dumps(value).encode()
    large = facts_of(lambda: GoogleBodyReader(1), body)
    assert facts_of(GoogleBodyReader, body) == large
    return large


@pytest.mark.parametrize(
    ("path", "dialect", "model"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini_generate", "gemini-2.5-pro"),
        ("/v1/models/gemini-2.5-pro:generateContent", "gemini_generate", "gemini-2.5-pro"),
        ("/v1alpha/models/gemini-2.5-pro:streamGenerateContent", "gemini_stream", "gemini-2.5-pro"),
        ("/v1beta/models/gemini-2%2E5-pro%3AgenerateContent", "gemini_generate", "gemini-2.5-pro"),
        ("/v1beta/models/gemini%2d2.5%3astreamGenerateContent", "gemini_stream", "gemini-2.5"),
        ("/v1beta/tunedModels/mine-123:generateContent", "gemini_generate", "mine-123"),
        ("/v1beta/models/g:countTokens", "gemini_count_tokens", "g"),
        ("/v1beta/models/g:embedContent", "gemini_embed", "g"),
        ("/v1beta/models/g:batchEmbedContents", "gemini_embed", "g"),
        ("/v1beta/models/imagen-4.0-generate-001:predict", "gemini_images", "imagen-4.0-generate-001"),
        (f"{BETA}/publishers/google/models/imagegeneration@006:predict", "gemini_images", "imagegeneration@006"),
        (f"{PROJECT}/publishers/google/models/gemini-2.0-flash-001:generateContent", "gemini_generate",
         "gemini-2.0-flash-001"),
        (f"{BETA}/publishers/google/models/g:streamGenerateContent", "gemini_stream", "g"),
        (f"{BETA}/publishers/google/models/g:computeTokens", "gemini_count_tokens", "g"),
        (f"{BETA}/publishers/google/models/text-embedding-005:predict", "vertex_embed", "text-embedding-005"),
        (f"{BETA}/endpoints/42:streamGenerateContent", "gemini_stream", "42"),
        ("/v1beta1/publishers/google/models/g:generateContent", "gemini_generate", "g"),  # express mode
        (f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict", "vertex_messages",
         "claude-sonnet-4@20250514"),
        (f"{PROJECT}/publishers/anthropic/models/claude-sonnet-4%4020250514:streamRawPredict", "vertex_messages",
         "claude-sonnet-4@20250514"),
        (f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict", "vertex_count_tokens", "count-tokens"),
        (f"{PROJECT}/publishers/mistralai/models/mistral-small-2503:streamRawPredict", "vertex_raw_chat",
         "mistral-small-2503"),
        (f"{PROJECT}/publishers/meta/models/llama-4:rawPredict", "vertex_raw_chat", "llama-4"),
        (f"{PROJECT}/endpoints/42:rawPredict", "vertex_raw_chat", "42"),
        (f"{BETA}/endpoints/openapi/chat/completions", "vertex_chat", None),
    ],
)  # fmt: skip
def test_google_methods_pass_and_are_read(path: str, dialect: str, model: str | None) -> None:
    found = route(path)
    assert found.dialect is not None
    assert (found.allowed, found.dialect.name, found.model) == (True, dialect, model)
    assert family_of(path) is found.dialect.family is Family.GEMINI


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1beta/models/g:batchGenerateContent", "g"),
        ("/v1beta/models/g:asyncBatchEmbedContent", "g"),
        ("/v1beta/models/veo-3:predictLongRunning", "veo-3"),
        (f"{BETA}/publishers/google/models/veo-3:fetchPredictOperation", "veo-3"),
    ],
)
def test_what_is_answered_later_passes_unread_with_its_model(path: str, model: str) -> None:
    found = route(path)
    assert (found.allowed, found.dialect, found.model, family_of(path)) == (True, None, model, Family.GEMINI)


@pytest.mark.parametrize(
    "path",
    ["/v1beta/models", "/v1beta/models/gemini-2.5-pro", "/v1alpha/models", "/v1beta/tunedModels", "/v1beta/batches/b",
     "/v1beta/models/veo-3/operations/o", "/v1beta1/publishers/google/models"],
)  # fmt: skip
def test_lists_are_read_only(path: str) -> None:
    assert route(path, b"GET").allowed
    assert family_of(path) is Family.GEMINI
    assert not any(route(path, method).allowed for method in (b"POST", b"PATCH", b"DELETE"))


@pytest.mark.parametrize(
    "path",
    ["/v1beta/models/a%2Fb:generateContent", "/v1beta/models/a/b:generateContent", "/v1beta/files", "/v1beta/corpora",
     "/upload/v1beta/files", "/v1beta/cachedContents", f"{PROJECT}/endpoints/42:deployModel", f"{PROJECT}/endpoints",
     f"{PROJECT}/../../../../../admin/x:predict", "/v1/projects/p/models/x", "/v1beta/chat/completions",
     f"{PROJECT}/publishers/google/models/g:tuneModel", "/gateway/v1beta/models/g:generateContent"],
)  # fmt: skip
def test_nothing_else_of_google_passes(path: str) -> None:
    assert not route(path).allowed


@pytest.mark.parametrize(
    "path",
    ["/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
     "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained",
     "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"],
)  # fmt: skip
def test_sessions_of_the_live_api_pass_unread(path: str) -> None:
    found = route(path, b"GET")
    assert (found.allowed, found.dialect, family_of(path)) == (True, None, Family.GEMINI)
    assert not route(path).allowed


def test_below_a_gateway_it_is_read_if_an_operator_lets_it_pass() -> None:
    found = PathPolicy(["/gateway/**"]).route(b"POST", b"/gateway/v1beta/models/g:streamGenerateContent")
    assert found.dialect is not None
    assert (found.dialect.name, found.model) == ("gemini_stream", "g")


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"model": "models/x", "content": {"parts": [{"text": "a"}]}}, RequestFacts(message_count=1)),
        ({"requests": [{"model": "models/x", "content": {}}] * 3}, RequestFacts(message_count=3)),
        ({"instances": [{"content": "a"}, {"content": "b"}]}, RequestFacts(message_count=2)),
        ({"instances": [{"prompt": "a"}], "parameters": {"sampleCount": 4}},
         RequestFacts(message_count=1, choice_count=4)),
        ({"instances": 7, "parameters": []}, RequestFacts()),
    ],
)  # fmt: skip
def test_requests_are_counted_and_the_path_says_the_model(body: dict[str, Any], facts: RequestFacts) -> None:
    assert GoogleRequest.read(json.dumps(body).encode()) == facts


def test_an_embedding_of_the_gemini_api() -> None:
    reported: dict[str, Any] = {"usage_source": UsageSource.REPORTED, "terminal": True}
    embedding = {"values": [0.1] * 3072}
    assert whole_facts({"embedding": embedding}) == Read(terminal=True)
    assert whole_facts({"embeddings": [embedding] * 9}) == Read(terminal=True)
    usage = {"promptTokenCount": 6, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 6}]}
    assert whole_facts({"embedding": embedding, "usageMetadata": usage}) == Read(prompt_tokens=6, **reported)


def embedded(tokens: object) -> dict[str, Any]:
    return {"embeddings": {"values": [0.1] * 768, "statistics": {"truncated": False, "token_count": tokens}}}


def test_texts_that_vertex_embeds_are_summed() -> None:
    facts = whole_facts({"predictions": [embedded(6), embedded(4.0)] * 40, "metadata": {"billableCharacterCount": 11}})
    assert facts == Read(prompt_tokens=400, usage_source=UsageSource.REPORTED, terminal=True)
    assert whole_facts({"predictions": [embedded(6), embedded(-1)]}).usage_rejected


@pytest.mark.parametrize("predictions", [[[0.1, 0.2]], ["text"], [{"embeddings": 7}], [], None, {"a": 1}])
def test_other_predictions_have_no_counts(predictions: object) -> None:
    assert whole_facts({"predictions": predictions}) == Read(terminal=True)


def test_pictures_of_many_megabytes_are_no_counts_and_take_little_memory() -> None:
    facts = whole_facts({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": "A" * 300_000}] * 2})
    assert facts == Read(terminal=True)


def test_an_error_with_a_good_status_is_an_error() -> None:
    error = {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}
    assert whole_facts({"error": error}).error == ErrorFacts(code="400", type="INVALID_ARGUMENT", message="no")


def test_the_counts_of_reports() -> None:
    assert google_tokens({"usageMetadata": {"promptTokenCount": 5}}) == Usage(5)
    assert google_tokens({"predictions.embeddings.statistics": {"token_count": 9}}) == Usage(9)
    assert google_tokens({}) == Usage()


def test_other_makers_requests_are_read_without_their_model() -> None:
    messages = route(f"{PROJECT}/publishers/anthropic/models/claude-x:streamRawPredict")
    body = {"anthropic_version": "vertex-2023-10-16", "stream": True, "max_tokens": 9, "messages": [{}], "model": "y"}
    expected = RequestFacts(is_streaming=True, max_tokens=9, message_count=1)
    assert messages.read_request(json.dumps(body).encode()) == expected
    raw = route(f"{PROJECT}/publishers/mistralai/models/mistral-small-2503:streamRawPredict")
    body = {"model": "mistral-small", "stream": True, "messages": [{}], "max_tokens": 9}
    assert raw.read_request(json.dumps(body).encode()) == expected
    counted = route(f"{PROJECT}/publishers/anthropic/models/count-tokens:rawPredict")
    assert counted.read_request(b'{"model": "claude-x", "messages": []}').model == "claude-x"
    chat = route(f"{PROJECT}/endpoints/openapi/chat/completions")
    assert chat.read_request(b'{"model": "google/gemini-2.5-flash", "messages": []}').model == "google/gemini-2.5-flash"
