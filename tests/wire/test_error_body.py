"""Bodies of error statuses in every shape, and no key in what is kept of them."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.base import SAW_ERROR, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import MAX_BODY_BYTES, ErrorBodyReader, error_in_body, mask_secrets, read_error
from tests.wire.cuts import CALM, random_pieces, three_ways


def read(body: bytes) -> ErrorFacts | None:
    found = []
    for pieces in three_ways(body):
        reader = ErrorBodyReader()
        assert all(reader.feed(piece) == SAW_ERROR for piece in pieces)
        found.append(reader.finish())
    assert all(other == found[0] for other in found)
    assert found[0].terminal
    return found[0].error


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ({"error": {"message": "No.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}},
         ErrorFacts(code="model_not_found", type="invalid_request_error", message="No.")),
        ({"error": {"message": "No.", "type": "t", "code": 404}}, ErrorFacts(code="404", type="t", message="No.")),
        ({"error": {"message": "No.", "type": None, "code": None}}, ErrorFacts(message="No.")),
        ({"error": "model 'x' not found"}, ErrorFacts(message="model 'x' not found")),
        ({"error": "busy", "code": 7, "type": "t"}, ErrorFacts(code="7", type="t", message="busy")),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400},
         ErrorFacts(code="400", type="BadRequestError", message="too long")),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
         ErrorFacts(type="overloaded_error", message="Overloaded")),
        ({"detail": "Not Found"}, ErrorFacts(message="Not Found")),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "Field required", "type": "missing"}, {"msg": "b"}]},
         ErrorFacts(type="missing", message="body.messages.0: Field required; b")),
        ({"detail": {"error": {"message": "deep", "code": "c"}}}, ErrorFacts(code="c", message="deep")),
        ({"detail": []}, ErrorFacts()),
        ([{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}],
         ErrorFacts(code="429", type="RESOURCE_EXHAUSTED", message="Quota")),
        ([{"error": {"code": 429, "message": "Slower", "status": "RESOURCE_EXHAUSTED", "details": [
            7, {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"},
        ]}}],
         ErrorFacts(code="429", type="RESOURCE_EXHAUSTED", message="Slower", retry_after_ms=34500.0)),
        ({"error": {"message": "x", "details": [{"retryDelay": "soon"}, {"retryDelay": "1s"}]}},
         ErrorFacts(message="x")),
        ({"error": {"message": "x", "details": "none"}}, ErrorFacts(message="x")),
        ({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "Not authorized"},
         ErrorFacts(type="AccessDeniedException", message="Not authorized")),
        ({"message": "no Route matched with those values"}, ErrorFacts(message="no Route matched with those values")),
        ({"error": {"code": 400, "message": "big", "type": "exceed_context_size_error", "n_ctx": 4096}},
         ErrorFacts(code="400", type="exceed_context_size_error", message="big")),
        ("just text in quotes", ErrorFacts(message="just text in quotes")),
        ({}, ErrorFacts()),
        ([], ErrorFacts()),
        (5, ErrorFacts()),
        ({"error": 5}, None),
        ({"error": {"message": ["not", "text"], "code": True}}, ErrorFacts()),
    ],
)  # fmt: skip
def test_every_json_shape_gives_the_servers_own_words(body: Any, facts: ErrorFacts | None) -> None:
    assert read(b"\n\n" + json.dumps(body).encode() + b"\n") == (facts or ErrorFacts())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b"  \n", None),
        (b"upstream connect error", "upstream connect error"),
        (b"<html><head><title>502 Bad&nbsp;Gateway</title></head><body><h1>x</h1></body></html>", "502 Bad Gateway"),
        (b"<!DOCTYPE html><style>p {}</style><p>Too <b>many</b> requests</p>", "Too many requests"),
        (b"<title> </title>words", "words"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b"{not json} at all", "{not json} at all"),
        (b'event: error\ndata: {"error":{"message":"from the stream"}}\n\ndata: [DONE]\n\n', "from the stream"),
        (b": hello\n\ndata: plain\n\n", "plain"),
    ],
)
def test_what_is_not_json_gives_its_text(body: bytes, message: str | None) -> None:
    assert read(body) == ErrorFacts(message=message)


def test_a_byte_order_mark_and_half_a_character_do_not_hide_the_error() -> None:
    assert read(b'\xef\xbb\xbf{"error":{"message":"a \\ud83d b","code":"c"}}') == ErrorFacts(
        code="c", message="a \ufffd b"
    )
    assert read(b'{"error":{"message":"caf\xe9","code":"c"}}') == ErrorFacts(code="c", message="caf\ufffd")


def test_a_body_that_is_cut_short_gives_what_was_whole_in_it() -> None:
    body = b'{"error":{"message":"boom","code":"c","metadata":{"raw":"' + b"x" * 100_000
    assert read(body) == ErrorFacts(code="c", message="boom")
    reader = ErrorBodyReader()
    reader.feed(body)
    assert reader.finish().malformed


@pytest.mark.parametrize("depth", [10, 400, 900, 5000])
def test_nesting_of_any_depth_raises_nothing(depth: int) -> None:
    for key in (b'{"detail":', b'{"error":', b"[", b'{"detail":[{"loc":[1],"msg":'):
        read_error(key * depth + b"1" + (b"}" if b"{" in key else b"]") * depth)


def test_only_the_beginning_of_a_large_body_is_held() -> None:
    reader = ErrorBodyReader(max_bytes=1000)
    for _ in range(100):
        reader.feed(b"word " * 100)
        assert len(reader._body) <= 1000
    error = reader.finish().error
    assert error is not None
    assert error.message is not None
    assert len(error.message) == 500


def test_a_large_json_error_is_read_whole_however_long_it_is() -> None:
    problem = {
        "type": "missing",
        "loc": ["body", "messages", 3],
        "msg": "Field required",
        "input": {"x": ["y" * 100] * 9000},
    }
    told = "body.messages.3: Field required; body.messages.3: Field required"
    long = {"message": "m" * 1_000_000, "code": "c", "type": "t"}
    for body, expected in (
        ({"error": long}, ErrorFacts(code="c", type="t", message="m" * 500)),
        ({"detail": [problem] * 2}, ErrorFacts(type="missing", message=told)),
    ):
        for pieces in (random_pieces(json.dumps(body).encode(), 1, 65_536), [json.dumps(body).encode()]):
            reader = ErrorBodyReader()
            for piece in pieces:
                reader.feed(piece)
                assert len(reader._body) <= MAX_BODY_BYTES
            assert reader.finish() == ResponseFacts(error=expected, terminal=True)


def test_of_a_large_page_the_title_is_read() -> None:
    reader = ErrorBodyReader()
    for piece in random_pieces(b"<html><head><title>502 Bad Gateway</title></head>" + b"<p>x</p>" * 700_000, 1, 65_536):
        reader.feed(piece)
        assert len(reader._body) <= MAX_BODY_BYTES
    assert reader.finish().error == ErrorFacts(message="502 Bad Gateway")


SECRETS = [
    ("Incorrect API key provided: sk-proj-abc_DEF-1234567890. Find yours at x.", "sk-proj-abc_DEF-1234567890"),
    ("Incorrect API key provided: sk-abcd*********wxyz.", "abcd*********wxyz"),
    ("sent Authorization: Bearer abc.def-ghi/jkl= to it", "abc.def-ghi/jkl="),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("GET http://h/v1?api_key=abcdefghijklmnop&x=1 failed", "abcdefghijklmnop"),
    ("key=ABCDEFGH12345678", "ABCDEFGH12345678"),
    ('{"x-api-key": "0123456789abcdef"}', "0123456789abcdef"),
    ("headers {'api-key': '0123456789abcdef'}", "0123456789abcdef"),
    ("access_token=ya29.a0AfH6SMBxyz", "ya29.a0AfH6SMBxyz"),
    ("password: hunter2hunter2", "hunter2hunter2"),
    ("invalid token 'e3b0c44298fc1c149afbf4c8996fb924'", "e3b0c44298fc1c149afbf4c8996fb924"),
    ("The API key was 9f86d081884c7d659a2feaa0c55ad015.", "9f86d081884c7d659a2feaa0c55ad015"),
    ("use AIzaSyA1234567890abcdefghijklmno", "SyA1234567890abcdefghijklmno"),
    ("use AQ.Ab8RN6Kabcdefghijklmnop", "Ab8RN6Kabcdefghijklmnop"),
    ("use AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("use ASIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"),
    ("use ABSKQmVkcm9ja0FQSUtleS1hYmNkZWY=", "QmVkcm9ja0FQSUtleS1hYmNkZWY="),
    ("use bedrock-api-key-YmVkcm9jay5hbWF6b24=", "YmVkcm9jay5hbWF6b24="),
    ("use gsk_1234567890abcdef", "1234567890abcdef"),
    ("use hf_abcdefghijklmnop", "abcdefghijklmnop"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "hbGciOiJIUzI1NiJ9"),
    ("connect to https://user:s3cret@host/v1", "s3cret"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_credential_never_stays(text: str, secret: str) -> None:
    assert secret not in mask_secrets(text)
    assert "***" in mask_secrets(text)
    for body in ({"error": {"message": text}}, {"error": text}, {"detail": text}, text):
        kept = read_error(json.dumps(body).encode())
        assert secret not in (kept.message or "")
    assert secret not in (read_error(text.encode()).message or "")


@pytest.mark.parametrize(
    "text",
    [
        "This model's maximum context length is 4097 tokens, however you requested 5000 tokens.",
        "max_tokens: 4096 is too large; token limit: 2048",
        "The model 'meta-llama/Llama-3.1-8B-Instruct' does not exist",
        "Unrecognized key: 'foo' in messages[0]",
        "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000",
        "ask-me-anything is not a task-runner",
        "ASIA-PACIFIC-SOUTHEAST is no region; see the FAQ. Bedrock-api-keys are needed",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert mask_secrets(text) == text


@CALM
@given(st.text(string.ascii_letters + string.digits, min_size=20, max_size=60))
def test_a_key_after_its_name_never_stays_whatever_it_looks_like(key: str) -> None:
    for text in (f"sk-{key}", f"api_key={key}", f"Bearer {key}", f'"token": "{key}"', f"secret:{key}"):
        assert key not in mask_secrets(text)


def test_a_key_at_the_end_of_what_is_kept_is_masked_before_the_cut() -> None:
    error = read_error(json.dumps({"error": "x" * 490 + " sk-abcdefghijklmnopqrstuvwxyz"}).encode())
    assert error.message is not None
    assert error.message.endswith("x sk-***")


@CALM
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_and_messages_are_bounded(body: bytes) -> None:
    assert len(read_error(body).message or "") <= 500


@CALM
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "detail", "message", "code", "type", "loc", "msg",
    "status"]), inner, max_size=4)))  # fmt: skip
def test_any_json_raises_nothing(value: Any) -> None:
    assert isinstance(error_in_body(value), ErrorFacts | None)
    assert isinstance(read_error(json.dumps(value).encode()), ErrorFacts)


def test_reader_facts_are_those_of_an_ended_body() -> None:
    assert ErrorBodyReader().finish() == ResponseFacts(error=ErrorFacts(), terminal=True)
