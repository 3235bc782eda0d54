"""What every dialect gives the data plane: facts of a request, a reader of its response, facts of the response.

A reader is fed the decoded body as it arrives, in pieces cut anywhere, and answers each piece with a bit set of
``SAW_*``; the caller owns the clock and stamps what was seen. Nothing a server sends makes a reader raise: bytes that
cannot be understood set ``malformed`` and leave facts ``None``.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from llm_metrics_proxy.record import RAW_COLUMNS, RequestRecord

SAW_TOKEN: Final = 1  # content, reasoning, a tool call or a refusal that is not empty
SAW_OUTPUT: Final = 2  # visible content (text, tool call or refusal; no reasoning)
SAW_VISIBLE: Final = SAW_TOKEN | SAW_OUTPUT
SAW_TERMINAL: Final = 4  # a finish reason or the dialect's end marker
SAW_ERROR: Final = 8  # an error event, or an error in the body

EVENT_STREAM: Final = frozenset({b"text/event-stream"})

MAX_TEXT_CHARS: Final = 256  # model, user, finish reason: more is cut
MAX_ERROR_CHARS: Final = 500
MAX_TOKENS: Final = 2**40  # a larger count is nonsense and refused; no context window is within a factor 10**4 of it


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's body says about itself, in the record's columns; all ``None`` when it is not what its path
    promises."""

    model: str | None = None
    user: str | None = None
    is_streaming: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    message_count: int | None = None
    tool_count: int | None = None
    choice_count: int | None = None
    claims: Mapping[str, Any] | None = None  # members that may say who asks, as they were written; see ``identity``


class Verdict(StrEnum):
    """Why what came with a successful status was no answer, where no server says so itself."""

    NOT_AN_ANSWER = "not_an_answer"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    EMPTY = "empty"


class ErrorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own words for what went wrong. ``message`` is cut to 500 characters and masked.

    With a ``verdict`` they are ours.
    """

    code: str | None = None
    type: str | None = None
    message: str | None = None
    retry_after_ms: float | None = None  # where the error itself says when to come back, as Google's do
    verdict: Verdict | None = None


class ResponseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a response's body said, known in full once the body has ended. A fact that is named like a column of the
    record fills it."""

    response_model: str | None = None
    finish_reason: str | None = None
    content_chunks: int | None = None  # None: the body was not a stream
    terminal: bool = False  # the body is whole: a finish reason, an end marker, or valid JSON to its end
    malformed: bool = False  # something in it could not be understood
    error: ErrorFacts | None = None
    tool_call_count: int | None = None  # None: nothing came that could have held one
    service_tier: str | None = None
    response_id: str | None = None
    refused: bool = False  # the model refused; the finish reason does not say so
    blocked: bool = False  # a filter stopped the prompt or the answer; the finish reason does not always say so
    usage_reported: str | None = None  # JSON, see ``usage_reports``; the token counts are calculated from it
    further: Mapping[str, Any] | None = None  # what few servers say, by the record's column


def _copier(facts: type[msgspec.Struct], rest: str = "") -> Callable[[Any, RequestRecord], None]:
    """A function that copies every fact that is known to the record's column of the same name, and does the ``rest``.

    It is compiled from text, as dataclasses compile their methods: each request calls both, and a loop over the names
    takes three times as long. A look at a fact that is missing costs 10 ns, setting an attribute of the record 35.
    """
    lines = [
        f"if facts.{field.name} is not None: record.{field.name} = facts.{field.name}"
        if field.default is None
        else f"record.{field.name} = facts.{field.name}"
        for field in msgspec.structs.fields(facts)
        if field.name in RAW_COLUMNS
    ]
    compiled: dict[str, Callable[[Any, RequestRecord], None]] = {}
    exec("\n    ".join(["def copy(facts, record):", *lines, rest]), compiled)  # noqa: S102 -- our own names
    return compiled["copy"]


copy_request_facts: Final = _copier(RequestFacts)
copy_response_facts: Final = _copier(
    ResponseFacts,
    """if facts.further:
        for name, value in facts.further.items():
            setattr(record, name, value)
""",
)


class ResponseReader(Protocol):
    """Reads one response body. ``feed`` may be given any cut of it; ``finish`` is called once, at its end."""

    def feed(self, data: bytes) -> int:
        """Take the next bytes; return what they showed as ``SAW_*`` bits."""

    def finish(self) -> ResponseFacts:
        """The facts, whether the body ended well or broke off."""
