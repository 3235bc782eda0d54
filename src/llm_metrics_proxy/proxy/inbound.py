"""A request's head, understood: pure. The parser's pieces in, an ``InboundRequest`` or a ``HeadRefusal`` out."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from llm_metrics_proxy.proxy.asker import Caller
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.headers import (
    REQUEST_RULES,
    Field,
    HeadRefusal,
    check_request,
    is_host,
    sort_fields,
    tokens,
    without_fields,
    without_forwarded,
)
from llm_metrics_proxy.proxy.policy import Route
from llm_metrics_proxy.proxy.routing import Backend
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.dialects import media_type

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.fleet import Server

_SCHEMES: Final = (b"http://", b"https://")
_FORWARDED: Final = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"})


class InboundRequest(msgspec.Struct, frozen=True):
    """A client's request. ``lines`` are the end-to-end fields, without Host and framing."""

    method: bytes
    target: bytes  # origin form: path and query exactly as sent
    path: bytes
    version: str  # "1.1" or "1.0"
    keep_alive: bool
    lines: list[bytes]
    facts: dict[str, bytes]
    chunked: bool
    expects_continue: bool
    websocket: bool  # asks for Upgrade: websocket
    is_json: bool  # by its Content-Type
    is_forwarded: bool  # by another proxy: has X-Forwarded-* or Forwarded

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as announced; ``None``: chunked."""
        return None if self.chunked else int(self.facts.get("content_length", 0))


class RequestPlan(msgspec.Struct, frozen=True):
    """All that follows from a request's head alone, for whichever client and body it comes with."""

    request: InboundRequest
    route: Route
    record: RequestRecord  # with what the head says; each request's is a copy
    asker: Caller
    start: bytes  # of the head for the upstream, see ``upstream_start``
    fast: bool  # its requests may take the lane, see ``lane``
    held: bool  # the body is held until it is complete, because it is JSON or may be, see ``request_body``
    limit_bytes: int  # of the body; what is longer can never fit
    keep_alive: bool
    server: "Server | None" = None  # the one that the head names; none: the body has a say, see ``choice``
    starts: "dict[Server, bytes]" = {}  # the same as ``start`` for each server that was chosen, filled in then
    refused: Cause | None = None  # see ``admission``
    cors: bytes | None = None  # the answer may be read by another origin's page: lines that say so
    merges_models: bool = False  # GET /v1/models with several backends
    held_limit_bytes: int | None = None  # its type does not say JSON: its bytes decide, and a longer one streams
    boundary: bytes | None = None  # the body is a form, see ``multipart``


def read_head(  # noqa: PLR0917 -- the parts of a request line, in their order
    method: bytes, target: bytes, version: str, fields: Sequence[Field], keep_alive: bool, upgrade: bool
) -> InboundRequest | HeadRefusal:
    """Sort the fields, apply RFC 9112's refusals and bring the target into origin form."""
    found = sort_fields(fields, REQUEST_RULES)
    refusal = check_request(version, method, found)
    if refusal is not None:
        return refusal
    facts = found.facts
    if not target.startswith(b"/") and (target, method) != (b"*", b"OPTIONS"):
        origin_form = _origin_form(target)
        if origin_form is None:
            return HeadRefusal(400, "bad_target", "The request's target must be a path or an http(s) URL.")
        target, facts["host"] = origin_form
        if method == b"OPTIONS" and not target:
            target = b"*"  # RFC 9112 section 3.2.4
        elif not target.startswith(b"/"):
            target = b"/" + target
    return InboundRequest(
        method=method,
        target=target,
        path=target.partition(b"?")[0],
        version=version,
        keep_alive=keep_alive,
        lines=found.lines,
        facts=facts,
        chunked="transfer_encoding" in facts,
        expects_continue="expect" in facts and version == "1.1",
        websocket=_asks_for_websocket(method, facts) if upgrade else False,
        is_json=is_json(facts.get("content_type")),
        is_forwarded=not _FORWARDED.isdisjoint(facts),
    )


def _asks_for_websocket(method: bytes, facts: dict[str, bytes]) -> bool:
    """A request with a body does not: whether that belongs to it or to the tunnel, two readers could disagree about."""
    has_body = "transfer_encoding" in facts or int(facts.get("content_length", 0)) > 0
    return method == b"GET" and tokens(facts.get("upgrade", b"")) == [b"websocket"] and not has_body


def _origin_form(target: bytes) -> tuple[bytes, bytes] | None:
    """``(path and query, authority)`` of an absolute-form target (RFC 9112 section 3.2.2)."""
    for scheme in _SCHEMES:
        if target[: len(scheme)].lower() == scheme:
            rest = target[len(scheme) :]
            authority = re.split(rb"[/?#]", rest, maxsplit=1)[0]
            path = rest[len(authority) :]
            if not is_host(authority) or not authority:
                return None
            return path, authority
    return None


def is_json(content_type: bytes | None) -> bool:
    """A body of this type is JSON; one without a type counts as JSON, as with LLM servers."""
    if content_type is None:
        return True
    essence = media_type(content_type)
    return essence == b"application/json" or essence.endswith(b"+json")


def upstream_start(request: InboundRequest, backend: Backend, *, trusted: bool, plain_answer: bool) -> bytes:
    """The head as the LLM server gets it, up to what depends on this client and this body.

    ``plain_answer`` prevents compression, because the answer will be edited.
    """
    lines = request.lines
    if request.is_forwarded:
        lines = without_forwarded(lines, trusted=trusted)
    if plain_answer and "accept_encoding" in request.facts:
        lines = [*without_fields(lines, frozenset({b"accept-encoding"})), b"Accept-Encoding: identity\r\n"]
    if backend.replaced:
        lines = without_fields(lines, backend.replaced)
    address, target = backend.address, request.target
    if backend.replaces_query_key:
        target = without_key(target)
    return b"%b %b%b HTTP/1.1\r\n%b%b%b" % (
        request.method,
        address.path_prefix,
        target,
        address.host_line,
        b"".join(lines),
        backend.added,
    )


def without_key(target: bytes) -> bytes:
    """A target without the key in its query; every other byte stays."""
    path, mark, query = target.partition(b"?")
    if b"key=" not in query:
        return target
    kept = b"&".join(part for part in query.split(b"&") if not part.startswith(b"key="))
    return path + mark + kept if kept else path


def start_for(plan: RequestPlan, server: "Server", *, trusted: bool) -> bytes:
    """``upstream_start`` for one of the servers that the plan's requests may go to, worked out once for each."""
    if server is plan.server:
        return plan.start
    known = plan.starts.get(server)
    if known is None:
        known = upstream_start(plan.request, server.backend, trusted=trusted, plain_answer=False)
        plan.starts[server] = known
    return known


def framing_lines(request: InboundRequest, body_length: int | None) -> bytes:
    """How the body is framed for the upstream, with the blank line that ends the head."""
    if request.websocket:
        return b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    if body_length is None:
        return b"Transfer-Encoding: chunked\r\n\r\n"
    if body_length or "content_length" in request.facts:
        return b"Content-Length: %d\r\n\r\n" % body_length
    return b"\r\n"
