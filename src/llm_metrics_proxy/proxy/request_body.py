"""A request's JSON body: whether it is one, the facts it holds, and the opt-in edit of it. Pure.

``curl -d`` calls everything a form, and scripts call it text: where the type does not say JSON, the first byte does. An
object begins with a brace, and no form, sound or picture does. Servers read such bodies as JSON too (Ollama's and
llama.cpp's own examples send no type).
"""

from codecs import BOM_UTF8
from typing import Final, NamedTuple

from llm_metrics_proxy.proxy.inbound import RequestPlan
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.content_coding import decoder_for
from llm_metrics_proxy.wire.json_shrink import JsonShrinker
from llm_metrics_proxy.wire.tolerant import ENCODING_SHOWS_BYTES, as_utf8
from llm_metrics_proxy.wire.usage_injection import UsageFilter, inject_include_usage

_BEGINNINGS: Final = (
    b"",
    b"{",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\0",
    b"\xef",
    b"\xfe",
    b"\xff",
)  # a brace, white space, UTF-16 and -32, byte-order marks
_LONGEST_BLANK_BYTES: Final = 4096  # white space before the brace; more is no honest request
_MAX_PLAIN_BYTES: Final = 1024 * 1024  # of what a compressed body grows to; more is made small
_DEPTH: Final = 2  # the request and its lists, whose items are only counted; the objects beside them


class RequestBody(NamedTuple):
    """``sent`` is what goes to the server; ``edits`` takes back out of the answer what an edit made the server add."""

    facts: RequestFacts
    sent: bytes
    edits: UsageFilter | None = None


def may_be_json(plan: RequestPlan, begun: bytes | bytearray) -> bool:
    """Whether a body that begins like this is a JSON object, or could still become one."""
    coding, start = plan.request.facts.get("content_encoding"), bytes(begun[: _LONGEST_BLANK_BYTES + 1])
    decoder = decoder_for(coding)
    if decoder is not None:
        start = decoder.feed(start)
        if decoder.failed:
            return False
    if len(start) < ENCODING_SHOWS_BYTES:
        return start[:1] in _BEGINNINGS
    text = as_utf8(start).lstrip()
    return text.startswith(b"{") or (not text and len(start) <= _LONGEST_BLANK_BYTES)


def read_body(plan: RequestPlan, body: bytes, *, inject_usage: bool) -> RequestBody:
    """Read a body that is not empty; an encoding that is not known leaves it unread."""
    route = plan.route
    if "content_encoding" in plan.request.facts:
        return RequestBody(_read_packed(plan, body, whole=True), body)
    facts = route.read_request(body)
    if inject_usage and route.dialect is not None and route.dialect.can_inject_usage:
        mark = BOM_UTF8 if body.startswith(BOM_UTF8) else b""
        edited = inject_include_usage(body.removeprefix(mark))
        if edited is not None:
            return RequestBody(facts, mark + edited, UsageFilter())
    return RequestBody(facts, body)


def read_begun(plan: RequestPlan, begun: bytes) -> RequestFacts:
    """What the beginning of a body says that is too long to be held."""
    if "content_encoding" in plan.request.facts:
        return _read_packed(plan, begun, whole=False)
    return plan.route.read_request(_made_small(as_utf8(begun)).finish())


def _read_packed(plan: RequestPlan, body: bytes, *, whole: bool) -> RequestFacts:
    decoder = decoder_for(plan.request.facts["content_encoding"])
    if decoder is None:  # identity
        return plan.route.read_request(body if whole else _made_small(as_utf8(body)).finish())
    plain, shrinker = b"", None
    for step in decoder.steps(body):
        if shrinker is not None:
            shrinker.feed(step)
            continue
        plain += step
        if len(plain) > _MAX_PLAIN_BYTES or not whole:
            shrinker, plain = _made_small(as_utf8(plain)), b""
    return plan.route.read_request(plain if shrinker is None else shrinker.finish())


def _made_small(text: bytes) -> JsonShrinker:
    shrinker = JsonShrinker(max_depth=_DEPTH)
    shrinker.feed(text)
    return shrinker
