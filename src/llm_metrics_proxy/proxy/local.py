"""Answers that this proxy gives by itself and that leave no record: health checks, browsers' and others' questions of
what may be asked (OPTIONS), and refusals of what is not a request.

Anybody who reaches the port sees the status alone: a web server on this machine that forwards to it makes strangers
look like loopback. Who shows the token of the metrics sees everything.
"""

from hmac import compare_digest
from time import monotonic_ns
from typing import Any, Final

from llm_metrics_proxy.proxy.admission import AdmissionVerdict, own_answer_lines
from llm_metrics_proxy.proxy.answers import error_body, json_bytes, own_answer
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.headers import HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest
from llm_metrics_proxy.proxy.parties import Client

LOCAL_PATHS: Final = frozenset({b"/health", b"/ready", b"*"})
_ALLOW: Final = b"Allow: GET, HEAD, POST, OPTIONS\r\n"
_PROBE_TIMEOUT_S: Final = 2.0
UNREAD: Final = AdmissionVerdict()  # of a head that was not read to its end


class Reply:
    """One such answer, in its turn among the answers of its connection: ``Work`` to that.

    ``request`` is ``None`` if it was refused; what follows it is not read, and the answer closes the connection.
    """

    __slots__ = (
        "_client", "_complete", "_ctx", "_paused_since", "_refusal", "_request", "_since", "_verdict", "keep_alive",
        "started",
    )  # fmt: skip

    accepts_tunnel = False

    def __init__(
        self,
        ctx: Context,
        client: Client,
        request: InboundRequest | None,
        verdict: AdmissionVerdict,
        refusal: HeadRefusal | None = None,
    ) -> None:
        self._ctx = ctx
        self._client = client
        self._request = request
        self._verdict = verdict
        self._refusal = refusal
        self._complete = request is None
        self._since = self._paused_since = 0
        self.keep_alive = request is not None and request.keep_alive
        self.started = False

    def start(self) -> None:
        self.started = True
        self._since = monotonic_ns()
        if self._complete:
            self._answer()

    def body_received(self, data: bytes) -> None:
        """Such requests have no use for a body."""

    def body_ended(self, now: int) -> None:  # noqa: ARG002
        self._complete = True
        if self.started:
            self._answer()

    def bad_body(self, message: str) -> None:
        self._ctx.slot.add("bad_requests")
        self._request, self._refusal = None, HeadRefusal(400, "bad_http", message)
        self.keep_alive = False
        self.body_ended(0)

    def note_opened(self) -> None:
        """It leaves no record."""

    def client_is_slow(self, *, slow: bool) -> None:
        self._paused_since = self._paused_since or monotonic_ns() if slow else 0

    def client_gone(self) -> None:
        """Nobody is left to answer."""

    def check(self, now: int) -> None:
        options = self._ctx.options
        if self._paused_since:
            since, limit_s = self._paused_since, options.send_timeout_s
        elif not self._complete:
            since, limit_s = self._since, options.body_timeout_s
        else:
            return  # querying the backends has its own limit
        if now - since > limit_s * 1e9:
            self._client.close()

    def abandon(self, cause: Cause) -> None:
        """Nothing is lost with it."""

    def _answer(self) -> None:
        request, refusal = self._request, self._refusal
        if refusal is not None:
            self._send(refusal.status, error_body(refusal.code, refusal.message))
        elif request is None or self._verdict.preflight is not None:
            self._send(204, None, self._verdict.preflight or b"")
        elif request.path == b"*":
            self._send(204, None, _ALLOW + own_answer_lines(self._verdict.cors))
        elif request.method not in {b"GET", b"HEAD"}:
            self._send(405, error_body("method_not_allowed", "Only GET and HEAD are answered here."))
        elif request.path == b"/health":
            health = self._ctx.health()
            self._send(200, json_bytes(health if self._shows_all(request) else {"status": health["status"]}))
        else:
            task = self._ctx.loop.create_task(self._ctx.fleet.trouble(_PROBE_TIMEOUT_S))
            task.add_done_callback(lambda done: self._ready(request, done.result()))

    def _ready(self, request: InboundRequest, trouble: str | None) -> None:
        ready = trouble is None and not self._ctx.draining
        shown: dict[str, Any] = {"ready": ready}
        if self._shows_all(request):
            shown["backend"] = ", ".join(server.backend.shown_name for server in self._ctx.fleet.servers)
            shown["reason"] = "draining" if self._ctx.draining else trouble
        self._send(200 if ready else 503, json_bytes(shown))

    def _shows_all(self, request: InboundRequest) -> bool:
        token = self._ctx.options.health_token
        scheme, _, shown = request.facts.get("authorization", b"").partition(b" ")
        return token is not None and scheme.lower() == b"bearer" and compare_digest(shown.strip(), token.encode())

    def _send(self, status: int, body: bytes | None, lines: bytes | None = None) -> None:
        request = self._request
        keep_alive = self.keep_alive and not self._client.is_last
        version = "1.1" if request is None else request.version
        head_only = request is not None and request.method == b"HEAD"
        request_id = self._ctx.request_ids.next()  # on every answer, though no record has this one
        if lines is None:
            lines = own_answer_lines(self._verdict.cors)
        self._client.write(own_answer(status, body, request_id, version, keep_alive, lines=lines, head_only=head_only))
        self._client.work_ended(self, keep_alive=keep_alive, lingering=request is None)
