"""What a server says went wrong: from the body of an error status, an error event, or an error inside a success.

The shapes are those that servers use (OpenAI, Ollama, vLLM, SGLang, Anthropic, Gemini, FastAPI, plain text, HTML,
nothing at all). Error texts quote requests, and requests hold keys: every message is masked before it is kept.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from llm_metrics_proxy.wire.base import MAX_ERROR_CHARS, MAX_TEXT_CHARS, SAW_ERROR, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.json_shrink import JsonShrinker
from llm_metrics_proxy.wire.rate_limits import wait_ms
from llm_metrics_proxy.wire.sse import SseReader
from llm_metrics_proxy.wire.tolerant import UNREADABLE, decode_any

MAX_BODY_BYTES: Final = 64 * 1024  # of an error body is held; only of JSON is looked at what lies behind

_MOST_DETAILS: Final = 20
_JSON_BEGINNINGS: Final = (b"{", b"[")
_MASK: Final = "***"
_MASKABLE_CHARS: Final = 8 * MAX_ERROR_CHARS  # bounds the work; masking only ever shortens what is then cut
_SECRETS: Final = (
    # Authorization: Bearer …, and Basic
    (re.compile(r"(?i)\b(bearer|basic)(\s+|%20)[^\s\"',;<>]+"), rf"\1 {_MASK}"),
    # user:password@ in an address
    (re.compile(r"://[^\s/@\"'<>]+@"), f"://{_MASK}@"),
    # keys that show their maker: OpenAI and its many imitators, Groq, Hugging Face, xAI, GitHub; Google, AWS, JWT
    (re.compile(r"\b(sk|pk|rk|gsk|hf|xai|nvapi|pplx|r8|ghp|gho|github_pat)([-_])[\w*.\-]{6,}"), rf"\1\2{_MASK}"),
    (
        re.compile(r"\b(AIza|AQ\.|AKIA|ASIA(?=[0-9A-Z]{16})|ABSK|bedrock-api-key-|ya29\.|eyJ)[\w\-.+/=]{12,}"),
        rf"\1{_MASK}",
    ),
    # api_key=…, "token": "…", x-api-key: …
    (
        re.compile(
            r"(?i)((?:key|token|secret|passw(?:or)?d|credentials?|authorization|signature)[\"'\]\\]*\s*[:=]\s*[\"'\\]*)"
            r"[^\s\"'\\&,;<>(){}\[\]]{8,}"
        ),
        rf"\1{_MASK}",
    ),
    # API key provided: …, invalid token '…': a long run with a digit after such a word
    (
        re.compile(
            r"(?i)(\b(?:key|token|secret|password)(?:[^\w.\-/]{1,3}\w{1,12}){0,3}?[^\w.\-/]{1,3})"
            r"(?=[a-z_*.\-]{0,99}\d)[\w*.\-+/=]{16,}"
        ),
        rf"\1{_MASK}",
    ),
)
_TITLE: Final = re.compile(r"(?is)<title[^>]*>(.*?)</title>")
_MARKUP: Final = re.compile(r"(?is)<(script|style)\b.*?</\1>|<!--.*?-->|<[^<>]*>")
_MAX_HTML_CHARS: Final = 8 * 1024  # some of these patterns look ahead to the end: this bounds the square of it


def mask_secrets(text: str) -> str:
    """``text`` with everything that looks like a credential as ``***``; what it was stays readable (``sk-***``)."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def error_message(text: str) -> str | None:
    """A message to be stored: masked, white space made single, cut; None if nothing is left."""
    return mask_secrets(" ".join(text[:_MASKABLE_CHARS].split()))[:MAX_ERROR_CHARS] or None


def error_facts(value: object) -> ErrorFacts | None:
    """The facts of an error's JSON value: a text, or an object with any of message, type and code. None if neither."""
    if isinstance(value, str):
        return ErrorFacts(message=error_message(value))
    if isinstance(value, Mapping):
        return ErrorFacts(
            code=_word(value.get("code")),
            # Google: status RESOURCE_EXHAUSTED; AWS: __type, with a namespace before it
            type=_word(value.get("type")) or _word(value.get("status")) or _word(_after_namespace(value.get("__type"))),
            message=_first_text(value, "message", "msg", "detail", "error", "Message"),
            retry_after_ms=_retry_after_ms(value.get("details")),
        )
    return None


def _retry_after_ms(details: object) -> float | None:
    """Google's retry info: a duration such as ``34.07s`` among an error's details."""
    for detail in details[:_MOST_DETAILS] if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and isinstance(delay := detail.get("retryDelay"), str):
            return wait_ms(delay, None)
    return None


def error_in_body(body: object) -> ErrorFacts | None:
    """The facts of a whole error body that was JSON; None if it holds no error."""
    body = _first(body)  # Gemini wraps its error in a list
    if not isinstance(body, Mapping):
        return error_facts(body)
    if body.get("error"):
        return _with_outer_code(error_facts(_first(body["error"])) or ErrorFacts(), body)
    if isinstance(body.get("base_resp"), Mapping):
        return minimax_error(body["base_resp"])
    if "detail" in body:
        return _fastapi_detail(body["detail"])
    return error_facts(body)


def minimax_error(base_resp: object) -> ErrorFacts | None:
    """MiniMax's status beside every answer: an error unless it is 0."""
    if not isinstance(base_resp, Mapping) or not base_resp.get("status_code"):
        return None
    return error_facts({"code": base_resp["status_code"], "message": base_resp.get("status_msg")})


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _with_outer_code(inner: ErrorFacts, body: Mapping[str, Any]) -> ErrorFacts:
    """``{"error": "text", "code": 7}``: what the inner value leaves open may stand beside it."""
    if inner.code or inner.type:
        return inner
    outer_type = _word(body.get("type")) or _word(body.get("error_type"))  # the latter: TGI, TEI
    return ErrorFacts(
        code=_word(body.get("code")),
        type=None if outer_type == "error" else outer_type,  # Anthropic's outer type says no more than that
        message=inner.message or _first_text(body, "message"),
    )


def _fastapi_detail(detail: object) -> ErrorFacts:
    """FastAPI: a text, or a list of validation errors with ``loc`` and ``msg``, or any object."""
    if isinstance(detail, Mapping):
        return error_facts(detail.get("error") or detail) or ErrorFacts()
    if not isinstance(detail, list):
        return error_facts(detail) or ErrorFacts()
    problems = [item for item in detail if isinstance(item, Mapping)]
    texts = [f"{_place(item.get('loc'))}{item.get('msg', '')}" for item in problems[:20]]
    return ErrorFacts(
        type=_word(problems[0].get("type")) if problems else None, message=error_message("; ".join(texts))
    )


def _place(loc: object) -> str:
    return ".".join(str(step) for step in loc[:20]) + ": " if isinstance(loc, list) and loc else ""


def _after_namespace(value: object) -> object:
    return value.rpartition("#")[2] if isinstance(value, str) else None


def _word(value: object) -> str | None:
    """A code or type as text; servers write codes as strings and as numbers."""
    if isinstance(value, str):
        return mask_secrets(value[:MAX_TEXT_CHARS]) or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:MAX_TEXT_CHARS]
    return None


def _first_text(value: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        text = value.get(name)
        if isinstance(text, str) and text:
            return error_message(text)
    return None


def read_error(body: bytes) -> ErrorFacts:
    """The facts of a whole error body of any shape; all None if it is empty."""
    value = _json_value(body)
    if value is None and body.lstrip().startswith(_JSON_BEGINNINGS):
        shrinker = JsonShrinker()
        shrinker.feed(body)
        value = _json_value(shrinker.finish()) or None  # of a body that was cut short: what was whole in it
    if value is not None:
        return error_in_body(value) or ErrorFacts()
    text = body.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    if text.startswith(("data:", "event:", "error:", ":")):
        return _event_stream_error(body) or ErrorFacts(message=error_message(text))
    if text.startswith("<"):
        text = text[:_MAX_HTML_CHARS]
        title = _TITLE.search(text)
        from html import unescape  # noqa: PLC0415 -- its table is 0.7 MB, for answers that nobody expects

        text = unescape(title[1] if title and title[1].strip() else _MARKUP.sub(" ", text))
    return ErrorFacts(message=error_message(text))


def _json_value(body: bytes) -> object:
    """The decoded body; None if it is not JSON, or only ``null``."""
    try:
        return decode_any(body)
    except UNREADABLE:
        return None


def _event_stream_error(body: bytes) -> ErrorFacts | None:
    """The first event of an error status that was answered as an event stream."""
    reader = SseReader()
    for event in [*reader.feed(body), *reader.finish()]:
        if event.data and event.data != b"[DONE]":
            return read_error_event(event.data)
    return None


def read_error_event(data: bytes) -> ErrorFacts:
    """The facts of an event that is known to be an error: JSON of any shape, else its text."""
    value = _json_value(data)
    facts = error_in_body(value) if value is not None else None
    return facts or ErrorFacts(message=error_message(data.decode("utf-8", "replace")))


class ErrorBodyReader:
    """Reads the body of an error status, whatever the dialect, at its end: the first ``max_bytes``, or all of larger
    JSON, made small while it passes (servers repeat the request in it)."""

    __slots__ = ("_body", "_max_bytes", "_shrinker", "_truncated")

    def __init__(self, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._body = bytearray()
        self._max_bytes = max_bytes
        self._truncated = False
        self._shrinker: JsonShrinker | None = None

    def feed(self, data: bytes) -> int:
        """Always ``SAW_ERROR``: the status said so."""
        if self._truncated:
            if self._shrinker is not None:
                self._shrinker.feed(data)
            return SAW_ERROR
        room = self._max_bytes - len(self._body)
        self._body += data[:room]
        if len(data) > room:
            self._truncated = True
            if self._body.lstrip().startswith(_JSON_BEGINNINGS):
                self._shrinker = JsonShrinker()
                self._shrinker.feed(bytes(self._body))
                self._shrinker.feed(data[room:])
        return SAW_ERROR

    def finish(self) -> ResponseFacts:
        """The facts. An error's body has no end marker of its own, so any is ``terminal``."""
        body, whole, shrinker = bytes(self._body), not self._truncated, self._shrinker
        if shrinker is not None and shrinker.complete and not shrinker.broken:
            body, whole = shrinker.finish(), True
        return ResponseFacts(error=read_error(body), terminal=True, malformed=not whole)
