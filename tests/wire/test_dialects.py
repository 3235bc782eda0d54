"""Which requests are understood, and who reads what comes back."""

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.wire.apis.anthropic import (
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
    AnthropicBodyReader,
    AnthropicStreamReader,
)
from llm_metrics_proxy.wire.apis.llama_native import LLAMA_COMPLETION
from llm_metrics_proxy.wire.apis.ollama import (
    OLLAMA_CHAT,
    OLLAMA_EMBED,
    OLLAMA_GENERATE,
    OllamaBodyReader,
    OllamaStreamReader,
)
from llm_metrics_proxy.wire.apis.openai_body import OPENAI_EMBEDDINGS, OpenAIBodyReader
from llm_metrics_proxy.wire.apis.openai_responses import OPENAI_RESPONSES
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT, OPENAI_COMPLETIONS, OpenAIStreamReader
from llm_metrics_proxy.wire.apis.other_operations import (
    OPENAI_IMAGES,
    OPENAI_MODERATIONS,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
    RERANK,
    OtherBodyReader,
    OtherStreamReader,
)
from llm_metrics_proxy.wire.dialects import Dialect, media_type
from llm_metrics_proxy.wire.endpoints import DIALECTS, dialect_for, model_in_path
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.first_bytes import FirstBytes, reader_for

ENDPOINTS = {
    "chat/completions": OPENAI_CHAT,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
    "responses": OPENAI_RESPONSES,
    "messages": ANTHROPIC_MESSAGES,
    "messages/count_tokens": ANTHROPIC_COUNT_TOKENS,
    "rerank": RERANK,
    "moderations": OPENAI_MODERATIONS,
    "audio/speech": OPENAI_SPEECH,
    "audio/transcriptions": OPENAI_TRANSCRIPTIONS,
    "audio/translations": OPENAI_TRANSLATIONS,
    "images/generations": OPENAI_IMAGES,
    "images/edits": OPENAI_IMAGES,
    "images/variations": OPENAI_IMAGES,
}
PREFIXES = [
    "/v1/", "/openai/v1/", "/api/v1/", "/api/v0/", "/v1beta/openai/", "/anthropic/v1/", "/api/anthropic/v1/", "/",
    "/openai/deployments/my-gpt%2F4/",
]  # fmt: skip
ALONE = {
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OLLAMA_GENERATE,
    "/api/embed": OLLAMA_EMBED,
    "/api/embeddings": OLLAMA_EMBED,
    "/completion": LLAMA_COMPLETION,
    "/completions": LLAMA_COMPLETION,
    "/infill": LLAMA_COMPLETION,
    "/v2/rerank": RERANK,
    "/openai/responses": OPENAI_RESPONSES,
}


@pytest.mark.parametrize("path", ALONE)
def test_paths_that_stand_alone_are_known(path: str) -> None:
    assert dialect_for("POST", path) is dialect_for("POST", path + "/") is ALONE[path]


def test_every_path_that_is_read_may_pass() -> None:
    policy = PathPolicy()
    paths = [prefix + endpoint for prefix in PREFIXES for endpoint in ENDPOINTS if "%" not in prefix]
    closed = [path for path in [*paths, *ALONE] if not policy.route(b"POST", path.encode()).allowed]
    assert closed == []


def test_no_two_dialects_have_one_name_and_each_names_its_operation() -> None:
    assert len({(dialect.name, dialect.method) for dialect in DIALECTS}) == len(DIALECTS) > 26
    assert all(dialect.operation for dialect in DIALECTS)


def test_usage_is_only_ever_asked_for_in_openais_older_streams() -> None:
    assert {dialect.name for dialect in DIALECTS if dialect.can_inject_usage} == {
        "openai_chat", "openai_completions", "vertex_chat",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/openai/deployments/my%20gpt/chat/completions", "my gpt"),
        ("/openai/deployments/gpt-4o", "gpt-4o"),
        ("/openai/deployments/", None),
        ("/v1/chat/completions", None),
    ],
)
def test_azure_names_the_model_in_the_path(path: str, model: str | None) -> None:
    assert model_in_path(path) == model


_SSE = b'data: {"a":1}\n\n'
_LINES = b'{"message":{},"done":false}\n'
_WHOLE = b'{"done":true}'
_SOUND = b"ID3\x04\x00\x00\x00\x00\x00\x23TSSE"


def reader_type(dialect: Dialect, content_type: bytes | None, body: bytes) -> type:
    """Of who reads a successful answer that is ``body``."""
    first = reader_for(dialect, 200, media_type(content_type))
    if first is None:
        return type(None)
    assert isinstance(first, FirstBytes)
    first.take(body)
    first.finish()
    return type(first.reader)


@pytest.mark.parametrize(
    ("dialect", "content_type", "body", "kind"),
    [
        (ANTHROPIC_MESSAGES, b"text/event-stream; charset=utf-8", _SSE, AnthropicStreamReader),
        (ANTHROPIC_MESSAGES, b"application/json", _WHOLE, AnthropicBodyReader),
        (ANTHROPIC_COUNT_TOKENS, b"application/json", _WHOLE, type(None)),
        (OLLAMA_CHAT, b"application/x-ndjson", _LINES, OllamaStreamReader),
        (OLLAMA_GENERATE, b"application/json; charset=utf-8", _WHOLE, OllamaBodyReader),
        (OLLAMA_CHAT, None, _LINES, OllamaStreamReader),
        (OLLAMA_EMBED, b"application/json", _WHOLE, OllamaBodyReader),
        (OPENAI_SPEECH, b"audio/mpeg", _SOUND, type(None)),
        (OPENAI_SPEECH, b"text/event-stream", _SSE, OtherStreamReader),
        (OPENAI_TRANSCRIPTIONS, b"text/plain", b"The sky is blue.\n", type(None)),
        (OPENAI_IMAGES, b"application/json", _WHOLE, OtherBodyReader),
        (RERANK, None, _WHOLE, OtherBodyReader),
    ],
)
def test_each_kind_of_body_has_its_reader_and_sound_has_none(
    dialect: Dialect, content_type: bytes | None, body: bytes, kind: type
) -> None:
    assert reader_type(dialect, content_type, body) is kind


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_each_endpoint_is_known_under_each_prefix(prefix: str, endpoint: str, slash: str) -> None:
    path = prefix + endpoint
    assert dialect_for("POST", path + slash) is ALONE.get(path, ENDPOINTS[endpoint])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("post", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions//"),
        ("POST", "/v1/models"),
        ("POST", "/v1/"),
        ("POST", ""),
        ("POST", "/V1/completions"),
        ("POST", "/v1/Chat/completions"),
        ("POST", "/openai/deployments//chat/completions"),
        ("POST", "/v1/threads/thread_1/messages"),
        ("POST", "/x/completions"),
        ("POST", "/xv1/completions"),
        ("GET", "/x/v1/chat/completions"),
    ],
)
def test_anything_else_has_no_dialect(method: str, path: str) -> None:
    assert dialect_for(method, path) is None


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/api/chat/completions", OPENAI_CHAT),
        ("/x/v1/chat/completions", OPENAI_CHAT),
        ("/openai/deployments/a/b/chat/completions", OPENAI_CHAT),
        ("/any/thing/chat/completions/", OPENAI_CHAT),
        ("/V1/chat/completions", OPENAI_CHAT),
        ("/engines/v1/completions", OPENAI_COMPLETIONS),
        ("/engines/llama.cpp/v1/embeddings", OPENAI_EMBEDDINGS),
        ("/beta/completions", OPENAI_COMPLETIONS),
        ("/gateway/openai/deployments/d/completions", OPENAI_COMPLETIONS),
        ("/compatible-mode/v1/responses", OPENAI_RESPONSES),
        ("/gateway/anthropic/messages", ANTHROPIC_MESSAGES),
        ("/x/messages/count_tokens", ANTHROPIC_COUNT_TOKENS),
        ("/x/v1/audio/speech", OPENAI_SPEECH),
        ("/openai/deployments/chat/completions", OPENAI_COMPLETIONS),  # of a deployment that is called chat
    ],
)
def test_an_endpoint_below_a_prefix_that_nobody_named_is_read_like_its_plain_form(path: str, dialect: Dialect) -> None:
    assert dialect_for("POST", path) is dialect


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/event-stream", b"Text/Event-Stream ; charset=utf-8", b"application/json", b"text/event-stream-not",
        b"text/plain", b"application/octet-stream", b"", None,
    ],
)  # fmt: skip
def test_the_answers_first_bytes_decide_who_reads_it_whatever_its_type(content_type: bytes | None) -> None:
    for dialect in (OPENAI_CHAT, OPENAI_COMPLETIONS):
        assert reader_type(dialect, content_type, _SSE) is OpenAIStreamReader
        assert reader_type(dialect, content_type, _WHOLE) is OpenAIBodyReader
    assert reader_type(OPENAI_EMBEDDINGS, content_type, _WHOLE) is OpenAIBodyReader


@pytest.mark.parametrize(
    ("content_type", "media"),
    [
        (b"Text/Event-Stream ; charset=utf-8", b"text/event-stream"),
        (b"application/json", b"application/json"),
        (b"", b""),
        (None, b""),
    ],
)
def test_a_media_type_is_in_lower_case_and_without_its_parameters(content_type: bytes | None, media: bytes) -> None:
    assert media_type(content_type) == media


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503, 599])
@pytest.mark.parametrize("content_type", [b"application/json", b"text/event-stream", None])
def test_an_error_status_is_read_as_an_error_with_and_without_a_dialect(
    status: int, content_type: bytes | None
) -> None:
    for dialect in (OPENAI_CHAT, OPENAI_EMBEDDINGS, None):
        assert isinstance(reader_for(dialect, status, media_type(content_type)), ErrorBodyReader)


@pytest.mark.parametrize("status", [101, 204, 205, 301, 304, 307])
def test_an_answer_without_content_of_its_own_has_no_reader(status: int) -> None:
    assert reader_for(OPENAI_CHAT, status, b"text/html") is None


def test_a_success_without_a_dialect_has_no_reader() -> None:
    assert reader_for(None, 200, b"application/json") is None


def test_readers_are_never_shared() -> None:
    first = reader_for(OPENAI_CHAT, 200, b"text/event-stream")
    assert first is not reader_for(OPENAI_CHAT, 200, b"text/event-stream")
