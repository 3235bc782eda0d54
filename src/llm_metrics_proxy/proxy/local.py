"""Answers that this proxy gives by itself and that leave no record: health checks, and refusals of non-requests."""

from typing import TYPE_CHECKING, Final

from llm_metrics_proxy.proxy.answers import error_body, json_answer, json_bytes
from llm_metrics_proxy.proxy.headers import Refusal
from llm_metrics_proxy.proxy.inbound import InboundRequest

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.context import Context
    from llm_metrics_proxy.proxy.downstream import Downstream

LOCAL_PATHS: Final = frozenset({b"/health", b"/ready"})
_PROBE_TIMEOUT_S: Final = 2.0


class Reply:
    """One such answer, in its turn among the answers of its connection."""

    __slots__ = ("_body", "_client", "_complete", "_ctx", "_request", "_status", "keep_alive", "started")

    def __init__(self, ctx: "Context", client: "Downstream", request: InboundRequest | None) -> None:
        self._ctx = ctx
        self._client = client
        self._request = request
        self._status = 200
        self._body = b""
        self._complete = request is None
        self.keep_alive = request is not None and request.keep_alive
        self.started = False

    @classmethod
    def refusal(cls, ctx: "Context", client: "Downstream", refusal: Refusal) -> "Reply":
        """What follows on the connection is not read: the answer closes it."""
        reply = cls(ctx, client, None)
        reply._status = refusal.status
        reply._body = error_body(refusal.code, refusal.message)
        return reply

    @classmethod
    def local(cls, ctx: "Context", client: "Downstream", request: InboundRequest) -> "Reply":
        """``/health`` or ``/ready``."""
        return cls(ctx, client, request)

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
        elif request.method not in {b"GET", b"HEAD"}:
            self._status, self._body = 405, error_body("method_not_allowed", "Only GET and HEAD are answered here.")
            self._send()
        elif request.path == b"/health":
            self._body = json_bytes(self._ctx.health())
            self._send()
        else:
            task = self._ctx.loop.create_task(self._ctx.fleet.trouble(_PROBE_TIMEOUT_S))
            task.add_done_callback(lambda done: self._ready(done.result()))

    def _ready(self, trouble: str | None) -> None:
        ready = trouble is None and not self._ctx.draining
        self._status = 200 if ready else 503
        reason = "draining" if self._ctx.draining else trouble
        backends = ", ".join(server.backend.shown_name for server in self._ctx.fleet.servers)
        self._body = json_bytes({"ready": ready, "backend": backends, "reason": reason})
        self._send()

    def _send(self) -> None:
        request = self._request
        keep_alive = self.keep_alive and not self._client.is_last
        version = "1.1" if request is None else request.version
        head_only = request is not None and request.method == b"HEAD"
        request_id = self._ctx.request_ids.next()  # on every answer, though no record has this one
        self._client.write(json_answer(self._status, self._body, request_id, version, keep_alive, head_only=head_only))
        self._client.transaction_ended(self, keep_alive=keep_alive, lingering=request is None)
