"""OpenAI's Realtime API: a session over a WebSocket, read from what the server says.

Source: OpenAI's API reference, "Realtime server events": ``response.done`` carries the usage of one response. A session
has many; each is billed with its whole input, so their counts are summed. What was said to it may be written down by a
second model, at a price of its own: ``conversation.item.input_audio_transcription.completed`` carries that usage, in
tokens or in seconds, which no response includes. A transcription session has nothing else.

"Most errors are recoverable and the session will stay open": so an ``error`` event, or a response with the status
``failed``, does not fail a session that goes on. It does where it was the server's last word and the session came to
nothing else: the server ended it then, or no response had ended well before.
"""

from typing import Any, ClassVar, Final
from urllib.parse import parse_qs

import msgspec

from llm_metrics_proxy.wire.apis.openai_responses import ResponsesItem, ResponsesRequest, is_call, responses_tokens
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_TERMINAL, ErrorFacts, ResponseFacts
from llm_metrics_proxy.wire.deflate import Deflate
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.error_body import error_facts
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts
from llm_metrics_proxy.wire.tolerant import decode
from llm_metrics_proxy.wire.usage_reports import REFUSED_IN, Reports, UsageReports
from llm_metrics_proxy.wire.websocket import MAX_MESSAGE_BYTES, FrameReader

_ENDS: Final = frozenset({"response.done", "response.completed", "response.incomplete", "response.failed"})
_HEARD: Final = "conversation.item.input_audio_transcription.completed"
_HEARD_USAGE: Final = "input_audio_transcription.usage"  # where its reports are kept, apart from those of responses
_HINTS: Final = (
    b'"response.',
    b'"session.',
    b'"error"',
    b'_transcription.completed"',
)  # most messages are sound, and long: they are not decoded
_UNRELATED: Final = frozenset({"rate_limits.updated"})  # sent unasked: no sign that a session goes on
_MAX_QUERY_BYTES: Final = 8192


class _RealtimeStatusDetails(msgspec.Struct, gc=False):
    error: Any = None


class _RealtimeResponse(msgspec.Struct, gc=False):
    status: str | None = None
    status_details: _RealtimeStatusDetails | None = None
    usage: Any = None
    output: list[ResponsesItem] | None = None


class _Transcription(msgspec.Struct, gc=False):
    model: str | None = None


class _AudioInput(msgspec.Struct, gc=False):
    transcription: _Transcription | None = None


class _Audio(msgspec.Struct, gc=False):
    input: _AudioInput | None = None


class _RealtimeSession(msgspec.Struct, gc=False):
    model: str | None = None  # a transcription session has none
    audio: _Audio | None = None
    input_audio_transcription: _Transcription | None = None  # before it was in ``audio``

    @property
    def model_used(self) -> str | None:
        if self.model:
            return self.model
        heard = self.audio and self.audio.input and self.audio.input.transcription
        heard = heard or self.input_audio_transcription
        return heard.model if heard else None


class _RealtimeEvent(msgspec.Struct, gc=False):
    type: str | None = None
    session: _RealtimeSession | None = None
    response: _RealtimeResponse | None = None
    usage: Any = None  # of a transcription
    error: Any = None


class RealtimeReader:
    """Reads what the server sends of one session, as a ``ResponseReader``; ``frames`` counts its frames.

    ``error`` is the newest error that the server reported, whether or not it failed the session.
    """

    __slots__ = ("_answered", "_client_ended", "_goes_on", "_model", "_reports", "_tool_calls", "error", "frames")

    reads_requests: ClassVar[bool] = False

    def __init__(self, deflate: Deflate | None = None) -> None:
        self.frames = FrameReader.of_server(MAX_MESSAGE_BYTES, deflate)
        self.error: ErrorFacts | None = None
        self._goes_on = True  # the server's last word was no error
        self._answered = False  # a response ended well
        self._client_ended = False
        self._model: str | None = None
        self._tool_calls: int | None = None
        self._reports = UsageReports()

    def asked(self, _message: bytes) -> None:
        """The query names the model, and what clients say is mostly sound: it is not read."""

    def feed(self, data: bytes) -> int:
        """Take the next bytes; a response that ended is ``SAW_TERMINAL``."""
        seen = 0
        for message in self.frames.feed(data):
            seen |= self._take(message)
        return seen

    def client_ends(self) -> None:
        """The client ended the session, with or without a close frame. After the server's end it changes nothing."""
        self._client_ended = self._client_ended or not self.frames.closing

    @property
    def was_left(self) -> bool:
        """It may end at any time."""
        return False

    def finish(self) -> ResponseFacts:
        """The sums over the session. It may end at any time, so any end is ``terminal``."""
        failed = not self._goes_on and not (self._client_ended and self._answered)
        return response_facts(
            response_model=self._model,
            reports=self._reports,
            terminal=True,
            malformed=self.frames.broken,
            error=self.error if failed else None,
            tool_call_count=self._tool_calls,
        )

    def _take(self, message: bytes) -> int:
        is_delta = b".delta" in message[:256]
        if is_delta or not any(hint in message for hint in _HINTS):
            if not self._goes_on:
                self._goes_on = is_delta or _type_of(message) not in _UNRELATED
            return 0
        event = decode(_RealtimeEvent, message)
        if event is None:
            return 0
        if event.type == "error":
            return self._error_seen(event.error)
        self._goes_on = self._goes_on or event.type not in _UNRELATED
        if event.session is not None:
            self._model = self._model or cut(event.session.model_used)
        if event.type == _HEARD:
            self._reports.add(_HEARD_USAGE, event.usage)
        return self._response_ended(event.response) if event.type in _ENDS and event.response is not None else 0

    def _response_ended(self, response: _RealtimeResponse) -> int:
        self._tool_calls = (self._tool_calls or 0) + sum(map(is_call, response.output or ()))
        self._reports.add("response.usage", response.usage)
        if response.status == "failed":
            details = response.status_details
            return SAW_TERMINAL | self._error_seen(None if details is None else details.error)
        self._answered = True
        return SAW_TERMINAL

    def _error_seen(self, value: object) -> int:
        self.error = error_facts(value) or ErrorFacts()
        self._goes_on = False
        return SAW_ERROR


def realtime_tokens(reports: Reports) -> Usage:
    """The counts of all responses, and of what was written down of the speech that they answer."""
    said = responses_tokens(reports)
    heard = reports.get(_HEARD_USAGE)
    if heard is None:
        return said
    apart = {"response.usage": heard}
    if REFUSED_IN + _HEARD_USAGE in reports:
        apart[REFUSED_IN + "response.usage"] = reports[REFUSED_IN + _HEARD_USAGE]
    return _sum(said, responses_tokens(apart))


def _sum(one: Usage, other: Usage) -> Usage:
    """Counts of both; one that a report left out was not refused, and adds nothing."""

    def add(name: str) -> Any:
        known = [count for count in (getattr(one, name), getattr(other, name)) if count is not None]
        return sum(known) if known else None

    counts = {name: add(name) for name in Usage.__struct_fields__}
    return Usage(**counts | {"rejected": one.rejected or other.rejected})


def _type_of(message: bytes) -> str | None:
    event = decode(_RealtimeEvent, message)
    return None if event is None else event.type


def model_in_query(target: bytes) -> str | None:
    """The model of a session: ``?model=``, or Azure's ``?deployment=``; None if the query has neither."""
    query = target.partition(b"?")[2]
    if not query or len(query) > _MAX_QUERY_BYTES:
        return None
    try:
        asked = parse_qs(query.decode("latin-1"), max_num_fields=100)
    except ValueError:  # more fields than that
        return None
    return cut(next((asked[name][0] for name in ("model", "deployment") if name in asked), None))


OPENAI_REALTIME: Final = Dialect(
    name="openai_realtime",
    operation="realtime",
    paths=("realtime", "realtime/translations", "/openai/realtime"),
    method="GET",
    read_request=ResponsesRequest.read,
    session_reader=RealtimeReader,
    tokens=realtime_tokens,
)
DIALECTS: Final = (OPENAI_REALTIME,)
