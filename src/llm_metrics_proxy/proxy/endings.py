"""Every way in which a request can end without a complete answer, and what each means for record and client. Pure."""

from enum import StrEnum
from typing import Final, NamedTuple

from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.wire.base import ResponseFacts, Verdict


class Cause(StrEnum):
    """Why an exchange ended, other than by the upstream's answer being complete. The value is the `error_type`."""

    DNS = "dns"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    FIRST_BYTE_TIMEOUT = "first_byte_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    PROTOCOL = "protocol"
    CLIENT_GONE = "disconnect"
    CLIENT_STALLED = "send_timeout"
    SLOW_BODY = "slow_request"
    BAD_BODY = "bad_http"
    TOO_LARGE = "too_large"
    FORBIDDEN = "forbidden"
    MISDIRECTED = "misdirected"
    FOREIGN_ORIGIN = "foreign_origin"
    REFUSED = "refused"
    NO_BACKEND = "no_backend_for_model"
    NO_MODELS = "no_models"
    SATURATED = "saturated"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


class Ending(NamedTuple):
    """What a cause means. ``status`` is what the client gets if no head was sent yet (0: it is beyond reach).

    ``error_type`` is the record's word where the taxonomy has one for several causes.
    """

    outcome: Outcome
    status: int
    message: str
    error_type: str = ""


ENDINGS: Final[dict[Cause, Ending]] = {
    Cause.DNS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server's host name could not be resolved."),
    Cause.CONNECT_REFUSED: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server refused the connection."),
    Cause.CONNECT_FAILED: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The LLM server could not be connected to."),
    Cause.CONNECT_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "Connecting to the LLM server took too long."),
    Cause.TLS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "The TLS handshake with the LLM server failed."),
    Cause.RESET: Ending(Outcome.UPSTREAM_PROTOCOL_ERROR, 502, "The LLM server closed the connection unanswered."),
    Cause.FIRST_BYTE_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "The LLM server did not begin to answer in time."),
    Cause.IDLE_TIMEOUT: Ending(Outcome.UPSTREAM_TIMEOUT, 504, "The LLM server stopped sending in the middle."),
    Cause.PROTOCOL: Ending(Outcome.UPSTREAM_PROTOCOL_ERROR, 502, "The LLM server's answer is not valid HTTP."),
    Cause.CLIENT_GONE: Ending(Outcome.CLIENT_DISCONNECTED, 0, "The client closed the connection."),
    Cause.CLIENT_STALLED: Ending(Outcome.CLIENT_DISCONNECTED, 0, "The client stopped reading the answer."),
    Cause.SLOW_BODY: Ending(Outcome.CLIENT_ERROR, 408, "The request's body did not arrive in time."),
    Cause.BAD_BODY: Ending(Outcome.CLIENT_ERROR, 400, "The request's body is not valid HTTP."),
    Cause.TOO_LARGE: Ending(Outcome.REJECTED, 413, "The request's body is larger than this proxy allows."),
    Cause.FORBIDDEN: Ending(
        Outcome.REJECTED, 403, "Only inference paths may pass; an operator can allow others with --allow-paths."
    ),
    Cause.MISDIRECTED: Ending(
        Outcome.REJECTED,
        421,
        "This proxy answers to localhost, to loopback addresses and to the names in its settings, and the header Host "
        "has another: ask by one of these, or have the operator add the name with --allowed-hosts.",
        "forbidden",
    ),
    Cause.FOREIGN_ORIGIN: Ending(
        Outcome.REJECTED,
        403,
        "A web page of another site asked, and pages of its origin may not use this proxy; an operator can allow them "
        "with --allowed-origins.",
        "forbidden",
    ),
    Cause.REFUSED: Ending(Outcome.REJECTED, 400, "The request was refused."),
    Cause.NO_BACKEND: Ending(Outcome.REJECTED, 404, "No backend in the settings serves what was asked for."),
    Cause.NO_MODELS: Ending(Outcome.UPSTREAM_UNREACHABLE, 502, "No backend listed its models."),
    Cause.SATURATED: Ending(Outcome.PROXY_ERROR, 503, "This proxy has no capacity left; try again later."),
    Cause.SHUTDOWN: Ending(Outcome.PROXY_ERROR, 503, "This proxy is shutting down."),
    Cause.INTERNAL: Ending(Outcome.PROXY_ERROR, 502, "This proxy failed; its log says why."),
}

# What decides once the client has part of the answer: the first event that ended it, whoever closed the connection
# afterwards. A client's library hangs up as soon as it has read the server's error, or the end marker.
AFTER_AN_ERROR: Final = frozenset(
    {
        Cause.CLIENT_GONE, Cause.CLIENT_STALLED, Cause.RESET, Cause.PROTOCOL, Cause.IDLE_TIMEOUT, Cause.SHUTDOWN,
        Cause.SLOW_BODY, Cause.BAD_BODY, Cause.TOO_LARGE,
    }
)  # fmt: skip
AFTER_THE_END: Final = frozenset({Cause.CLIENT_GONE})


def answer_decides(cause: Cause, status: int, facts: ResponseFacts) -> bool:
    """Whether what was read of an answer with that ``status`` says how the request ended, and not ``cause``."""
    if status >= 400 or facts.error is not None:
        return cause in AFTER_AN_ERROR
    return facts.terminal and facts.content_chunks is not None and cause in AFTER_THE_END


# The outcome where this proxy itself saw that a complete body was no answer.
JUDGED: Final[dict[Verdict, Outcome]] = {
    Verdict.NOT_AN_ANSWER: Outcome.UPSTREAM_ERROR,
    Verdict.TRUNCATED: Outcome.STREAM_TRUNCATED,
    Verdict.MALFORMED: Outcome.STREAM_TRUNCATED,
    Verdict.EMPTY: Outcome.STREAM_TRUNCATED,
}
