"""OpenAI Responses over a WebSocket: a session of several responses on one connection, as Codex holds it.

Source: OpenAI's guide "WebSocket mode". The client sends ``response.create`` with what it would post; the server sends
the events that it would stream, one message each, and errors as ``{"type": "error", "status": …, "error": {…}}``. A
session lasts up to an hour; a response with ``generate: false`` only prepares the next one.

Each response is billed with its whole input, so the tokens of a session are the sum over its responses. Model, tools
and limits are those of the first ``response.create``, reason and id those of the last response. A session failed if its
last response did, or the last thing that the server said was an error: whatever came of it before, the client got no
answer to what it had asked.
"""

from typing import ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_responses import (
    OPENAI_RESPONSES,
    ResponsesRequest,
    ResponsesStreamReader,
)
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.facts import response_facts
from llm_metrics_proxy.wire.json_shrink import JsonShrinker, shape_of
from llm_metrics_proxy.wire.sse import SseEvent
from llm_metrics_proxy.wire.tolerant import MISSING, decode
from llm_metrics_proxy.wire.usage_reports import UsageReports
from llm_metrics_proxy.wire.websocket import MAX_MESSAGE_BYTES, FrameReader

_CREATE: Final = "response.create"
_EVENT: Final = shape_of(ResponsesStreamReader.kind)


def _large_event() -> JsonShrinker:
    """The last event holds the whole answer, perhaps with pictures."""
    return JsonShrinker(_EVENT)


class _ClientEvent(msgspec.Struct):
    type: str | None = None
    response: msgspec.Raw = MISSING  # what is asked for, where it does not stand beside the type


class _Turn(ResponsesStreamReader):
    """One response, whose events are messages."""

    __slots__ = ()

    @property
    def begun(self) -> bool:
        return self._tool_calls is not None or self.content_chunks > 0

    def take(self, message: bytes) -> int:
        return self._take(SseEvent(message))

    def add_to(self, reports: UsageReports) -> None:
        for where, report in self._reports.merged.items():
            reports.add(where, report)


class ResponsesSession:
    """Reads what the server sends of one session, as a ``ResponseReader``; ``frames`` counts its frames.

    ``error`` is the newest error that the server reported, whether or not it failed the session.
    """

    __slots__ = (
        "_asked",
        "_client_ended",
        "_content_chunks",
        "_failed",
        "_last",
        "_refused",
        "_reports",
        "_tool_calls",
        "_turn",
        "error",
        "frames",
    )

    reads_requests: ClassVar[bool] = True

    def __init__(self, deflate: Deflate | None = None) -> None:
        self.frames = FrameReader.of_server(MAX_MESSAGE_BYTES, deflate, _large_event)
        self.error: ErrorFacts | None = None
        self._turn = _Turn()
        self._last = ResponseFacts(terminal=True)  # of the last response that ended
        self._asked = False  # for a first response, of which nothing came yet
        self._failed = False  # the server's last word was an error
        self._refused = False
        self._client_ended = False
        self._content_chunks = 0
        self._tool_calls: int | None = None
        self._reports = UsageReports()

    def asked(self, message: bytes) -> RequestFacts | None:
        """What the client's message asks for; None: it is no ``response.create``."""
        event = decode(_ClientEvent, message)
        if event is None or event.type != _CREATE:
            return None
        self._asked = True
        facts = ResponsesRequest.read(message if event.response is MISSING else bytes(event.response))
        return msgspec.structs.replace(facts, is_streaming=True)

    def feed(self, data: bytes) -> int:
        """Take the next bytes; a response that ended is ``SAW_TERMINAL``."""
        seen = 0
        for message in self.frames.feed(data):
            turn = self._turn
            saw = turn.take(message)
            if turn.begun:
                self._asked = self._failed = False
            if saw & (SAW_TERMINAL | SAW_ERROR):
                self._turn_ended(turn)
            seen |= saw
        return seen

    def client_ends(self) -> None:
        """The client ended the session, with or without a close frame. After the server's end it changes nothing."""
        self._client_ended = self._client_ended or not self.frames.closing

    @property
    def was_left(self) -> bool:
        """By the client, while a response was on its way."""
        return self._client_ended and self._is_open

    @property
    def _is_open(self) -> bool:
        return (self._asked or self._turn.begun) and not self.frames.broken

    def finish(self) -> ResponseFacts:
        """The sums over the session. Between two responses it may end at any time."""
        is_open = self._is_open
        if self._turn.begun:
            self._add(self._turn)
        last = self._last
        return response_facts(
            response_model=last.response_model,
            finish_reason=last.finish_reason,
            reports=self._reports,
            content_chunks=None if self.frames.broken else self._content_chunks,
            terminal=not is_open,
            malformed=self.frames.broken,
            error=self.error if self._failed else None,
            tool_call_count=self._tool_calls,
            service_tier=last.service_tier,
            response_id=last.response_id,
            refused=self._refused,
        )

    def _turn_ended(self, turn: _Turn) -> None:
        self._failed, self._asked = turn.error is not None, False
        if turn.error is not None:
            self.error = turn.error
        self._add(turn)
        self._turn = _Turn()

    def _add(self, turn: _Turn) -> None:
        self._content_chunks += turn.content_chunks
        if turn.begun:
            facts = turn.finish()
            self._refused = facts.refused
            self._tool_calls = (self._tool_calls or 0) + (facts.tool_call_count or 0)
            turn.add_to(self._reports)
            self._last = facts


OPENAI_RESPONSES_SESSION: Final = msgspec.structs.replace(
    OPENAI_RESPONSES,
    name="openai_responses_websocket",
    method="GET",
    stream_reader=None,
    body_reader=None,
    signs=(),
    session_reader=ResponsesSession,
)
DIALECTS: Final = (OPENAI_RESPONSES_SESSION,)
