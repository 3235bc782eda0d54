"""Which requests are understood, and who reads what comes back."""

import pytest

from llm_metrics_proxy.wire.dialects import (
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    dialect_for,
    is_event_stream,
    reader_for,
)
from llm_metrics_proxy.wire.error_body import ErrorBodyReader
from llm_metrics_proxy.wire.json_body import JsonBodyReader
from llm_metrics_proxy.wire.openai_stream import OpenAIStreamReader

ENDPOINTS = {
    "chat/completions": OPENAI_CHAT,
    "completions": OPENAI_COMPLETIONS,
    "embeddings": OPENAI_EMBEDDINGS,
}
PREFIXES = ["/v1/", "/openai/v1/", "/api/v1/", "/v1beta/openai/", "/openai/deployments/my-gpt%2F4/"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_each_endpoint_is_known_under_each_prefix(prefix: str, endpoint: str, slash: str) -> None:
    assert dialect_for("POST", prefix + endpoint + slash) is ENDPOINTS[endpoint]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("post", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions//"),
        ("POST", "/v1/models"),
        ("POST", "/v1/"),
        ("POST", ""),
        ("POST", "/V1/chat/completions"),
        ("POST", "/openai/deployments//chat/completions"),
        ("POST", "/openai/deployments/a/b/chat/completions"),
        ("POST", "/x/v1/chat/completions"),
    ],
)
def test_anything_else_has_no_dialect(method: str, path: str) -> None:
    assert dialect_for(method, path) is None


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream ; charset=utf-8", True),
        (b"application/json", False),
        (b"text/event-stream-not", False),
        (b"", False),
        (None, False),
    ],
)
def test_the_answers_content_type_decides_who_reads_it(content_type: bytes | None, expected: bool) -> None:
    assert is_event_stream(content_type) is expected
    for dialect in (OPENAI_CHAT, OPENAI_COMPLETIONS):
        kind = OpenAIStreamReader if expected else JsonBodyReader
        assert isinstance(reader_for(dialect, 200, content_type), kind)
    assert isinstance(reader_for(OPENAI_EMBEDDINGS, 200, content_type), JsonBodyReader)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503, 599])
@pytest.mark.parametrize("content_type", [b"application/json", b"text/event-stream", None])
def test_an_error_status_is_read_as_an_error_with_and_without_a_dialect(
    status: int, content_type: bytes | None
) -> None:
    for dialect in (OPENAI_CHAT, OPENAI_EMBEDDINGS, None):
        assert isinstance(reader_for(dialect, status, content_type), ErrorBodyReader)


@pytest.mark.parametrize("status", [101, 204, 205, 301, 304, 307])
def test_an_answer_without_content_of_its_own_has_no_reader(status: int) -> None:
    assert reader_for(OPENAI_CHAT, status, b"text/html") is None


def test_a_success_without_a_dialect_has_no_reader() -> None:
    assert reader_for(None, 200, b"application/json") is None


def test_readers_are_never_shared() -> None:
    first = reader_for(OPENAI_CHAT, 200, b"text/event-stream")
    assert first is not reader_for(OPENAI_CHAT, 200, b"text/event-stream")
