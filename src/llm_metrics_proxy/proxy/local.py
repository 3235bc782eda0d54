"""Answers that this proxy gives by itself and that leave no record: health checks, browsers' and others' questions of
what may be asked (OPTIONS), and refusals of non-requests.

Anybody who reaches the port gets the status and no more: a web server on this machine that forwards to it makes
strangers look like loopback. Who shows the token of the metrics gets everything.
"""

from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from llm_metrics_proxy.proxy.admission import AdmissionVerdict, own_answer_lines
from llm_metrics_proxy.proxy.answers import empty_answer, error_body, json_answer, json_bytes
from llm_metrics_proxy.proxy.headers import HeadRefusal
from llm_metrics_proxy.proxy.inbound import InboundRequest

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.context import Context
    from llm_metrics_proxy.proxy.downstream import Downstream

LOCAL_PATHS: Final = frozenset({b"/health", b"/ready", b"*"})
_ALLOW: Final = b"Allow: GET, HEAD, POST, OPTIONS\r\n"
_PROBE_TIMEOUT_S: Final = 2.0
UNREAD: Final = AdmissionVerdict()  # of a head that was not read to its end


class Reply:
    """One such answer, in its turn among the answers of its connection."""

    __slots__ = ("_body", "_client", "_complete", "_ctx", "_request", "_status", "_verdict", "keep_alive", "started")

    def __init__(
        self, ctx: "Context", client: "Downstream", request: InboundRequest | None, verdict: AdmissionVerdict
    ) -> None:
        self._ctx = ctx
        self._client = client
        self._request = request
        self._verdict = verdict
        self._status = 200
        self._body = b""
        self._complete = request is None
        self.keep_alive = request is not None and request.keep_alive
        self.started = False

    @classmethod
    def refusal(cls, ctx: "Context", client: "Downstream", refusal: HeadRefusal, verdict: AdmissionVerdict) -> "Reply":
        """What follows on the connection is not read: the answer closes it."""
        reply = cls(ctx, client, None, verdict)
        reply._status = refusal.status
        reply._body = error_body(refusal.code, refusal.message)
        return reply

    @classmethod
    def local(cls, ctx: "Context", client: "Downstream", request: InboundRequest, verdict: AdmissionVerdict) -> "Reply":
        """``/health`` or ``/ready``, ``OPTIONS *``, or a preflight."""
        return cls(ctx, client, request, verdict)

    def body_received(self, data: bytes) -> None:
        """Such requests have no use for a body."""

    def body_ended(self, now: int) -> None:  # noqa: ARG002 -- the same face as Transaction
        """The request is complete."""
        self._complete = True

    def note_opened(self) -> None:
        """It leaves no record."""

    def start(self) -> None:
        """It is this answer's turn."""
        if not self._complete:
            return
        self.started = True
        request = self._request
        if request is None:
            self._send()
        elif self._verdict.preflight is not None:
            self._send_nothing(self._verdict.preflight)
        elif request.path == b"*":
            self._send_nothing(_ALLOW + own_answer_lines(self._verdict.cors))
        elif request.method not in {b"GET", b"HEAD"}:
            self._status, self._body = 405, error_body("method_not_allowed", "Only GET and HEAD are answered here.")
            self._send()
        elif request.path == b"/health":
            health = self._ctx.health()
            self._body = json_bytes(health if self._shows_all(request) else {"status": health["status"]})
            self._send()
        else:
            task = self._ctx.loop.create_task(self._ctx.fleet.trouble(_PROBE_TIMEOUT_S))
            task.add_done_callback(lambda done: self._ready(done.result()))

    def _ready(self, trouble: str | None) -> None:
        ready = trouble is None and not self._ctx.draining
        self._status = 200 if ready else 503
        told: dict[str, Any] = {"ready": ready}
        if self._request is not None and self._shows_all(self._request):
            told["backend"] = ", ".join(server.backend.shown_name for server in self._ctx.fleet.servers)
            told["reason"] = "draining" if self._ctx.draining else trouble
        self._body = json_bytes(told)
        self._send()

    def _shows_all(self, request: InboundRequest) -> bool:
        token = self._ctx.options.health_token
        scheme, _, shown = request.facts.get("authorization", b"").partition(b" ")
        return token is not None and scheme.lower() == b"bearer" and compare_digest(shown.strip(), token.encode())

    def _send_nothing(self, lines: bytes) -> None:
        request = self._request
        assert request is not None
        keep_alive = self.keep_alive and not self._client.is_last
        self._client.write(empty_answer(lines, self._ctx.request_ids.next(), request.version, keep_alive))
        self._client.transaction_ended(self, keep_alive=keep_alive, lingering=False)

    def _send(self) -> None:
        request = self._request
        keep_alive = self.keep_alive and not self._client.is_last
        version = "1.1" if request is None else request.version
        head_only = request is not None and request.method == b"HEAD"
        request_id = self._ctx.request_ids.next()  # on every answer, though no record has this one
        extra = own_answer_lines(self._verdict.cors)
        self._client.write(
            json_answer(self._status, self._body, request_id, version, keep_alive, head_only=head_only, extra=extra)
        )
        self._client.transaction_ended(self, keep_alive=keep_alive, lingering=request is None)
