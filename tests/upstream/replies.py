"""Literal bytes that LLM servers send, built from parts; pure, so a test can also compute what the client must see.

``head`` and ``chunk`` are the two bricks; everything else is made of them and returns ``bytes``, JSON values or
lists of events. Nothing here checks anything: wrong lengths and broken framing are one argument away.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

import brotli  # type: ignore[import-untyped]

from llm_metrics_proxy.zstandard import zstd

Field = tuple[str, str]

_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": partial(gzip.compress, mtime=0),  # its header holds the time: the same bytes every second
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}

LAST_CHUNK: Final = b"0\r\n\r\n"
EVENT_STREAM: Final[Field] = ("content-type", "text/event-stream; charset=utf-8")
CHUNKED: Final[Field] = ("transfer-encoding", "chunked")
DONE: Final = b"data: [DONE]\n\n"
REASONS: Final = {100: "Continue", 103: "Early Hints", 200: "OK", 404: "Not Found", 429: "Too Many Requests"}


def head(status: int, *fields: Field, version: str = "1.1") -> bytes:
    """A response head: status line and fields in the given order and case."""
    lines = [
        f"HTTP/{version} {status} {REASONS.get(status, 'Whatever')}",
        *(f"{name}: {value}" for name, value in fields),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    """One chunk of chunked coding; ``extension`` such as ``b';name=value'``."""
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


def chunked(*pieces: bytes, trailers: Sequence[Field] = ()) -> bytes:
    """A whole chunked body."""
    end = b"0\r\n" + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in trailers) + b"\r\n"
    return b"".join(map(chunk, pieces)) + end


def response(
    body: bytes, *fields: Field, status: int = 200, length: int | None = None, content_type: str = "application/json"
) -> bytes:
    """Head and body with a Content-Length; ``length`` lies about it."""
    told = len(body) if length is None else length
    return head(status, ("content-type", content_type), ("content-length", str(told)), *fields) + body


def json_response(value: Any, *fields: Field, status: int = 200) -> bytes:
    """``value`` as compact JSON with the right length."""
    return response(json.dumps(value, separators=(",", ":")).encode(), *fields, status=status)


def error_response(status: int, message: str, *fields: Field, type_: str = "server_error", code: Any = None) -> bytes:
    """An error in OpenAI's shape."""
    return json_response(
        {"error": {"message": message, "type": type_, "param": None, "code": code}}, *fields, status=status
    )


def compressed(data: bytes, coding: str) -> bytes:
    """``data`` in a content coding: gzip, deflate (zlib), br or zstd."""
    return _COMPRESSORS[coding](data)


def usage(prompt: int = 12, completion: int = 3, **details: int) -> dict[str, Any]:
    """``cached_tokens`` and ``reasoning_tokens`` go where OpenAI puts them."""
    value: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
    }  # fmt: skip
    if "cached_tokens" in details:
        value["prompt_tokens_details"] = {"cached_tokens": details["cached_tokens"]}
    if "reasoning_tokens" in details:
        value["completion_tokens_details"] = {"reasoning_tokens": details["reasoning_tokens"]}
    return value


def chat_completion(text: str = "Hello there!", model: str = "fake-1", finish_reason: str = "stop", n: int = 1) -> Any:
    """A chat completion that was not streamed: 12 prompt tokens, 3 completion tokens."""
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
        "choices": [
            {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
            for index in range(n)
        ],
        "usage": usage(),
    }  # fmt: skip


def sse(value: Any) -> bytes:
    """One server-sent event with ``value`` as compact JSON."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chat_event(delta: dict[str, Any], finish_reason: str | None = None, model: str = "fake-1") -> bytes:
    """One event of a streamed chat completion."""
    return sse({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    })  # fmt: skip


def usage_event(model: str = "fake-1", **counts: int) -> bytes:
    """The extra last event of ``stream_options.include_usage``."""
    return sse({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
        "choices": [], "usage": usage(**counts),
    })  # fmt: skip


def chat_events(
    tokens: Iterable[str] = ("Hello", " there", "!"), *, finish_reason: str = "stop", include_usage: bool = False,
    model: str = "fake-1",
) -> list[bytes]:  # fmt: skip
    """A whole streamed chat completion: role, tokens, finish reason, perhaps usage, ``[DONE]``."""
    events = [chat_event({"role": "assistant", "content": ""}, model=model)]
    events += [chat_event({"content": token}, model=model) for token in tokens]
    events.append(chat_event({}, finish_reason, model=model))
    if include_usage:
        events.append(usage_event(model))
    return [*events, DONE]
