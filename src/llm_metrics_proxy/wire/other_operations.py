"""Everything else that servers offer beside generation: reranking, moderation, speech, transcription, images.

Their answers differ, and little in them is a fact for us: the model, an id, and token counts under one of the names
that servers use. Bodies that are no JSON (sound, pictures, forms) are never looked into.

Sources: OpenAI's API reference (moderations, audio, images); Cohere's and Jina's (rerank).
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_OUTPUT, SAW_TOKEN, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, small_int, usage_of
from llm_metrics_proxy.wire.openai_completions import count_prompts
from llm_metrics_proxy.wire.tolerant import decode
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_MISSING = msgspec.Raw()
_ENDS: Final = (".done", ".completed")
_PICTURES: Final = ".partial_image"


class _Request(msgspec.Struct):
    model: str | None = None
    user: str | None = None
    stream: bool | None = None
    stream_format: str | None = None  # of speech
    n: int | None = None
    documents: msgspec.Raw = _MISSING
    texts: msgspec.Raw = _MISSING  # llama.cpp's and TEI's name for documents
    input: msgspec.Raw = _MISSING
    prompt: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_Request, body)
    if request is None:
        return RequestFacts()
    given = (request.documents, request.texts, request.input, request.prompt)
    return RequestFacts(
        model=cut(request.model),
        user=cut(request.user),
        is_streaming=request.stream is True or request.stream_format == "sse",
        message_count=next((count_prompts(value) for value in given if value is not _MISSING), None),
        choice_count=small_int(request.n),
    )


class _Answer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one."""

    type: Any = None
    id: Any = None
    model: str | None = None
    usage: Any = None
    meta: Any = None  # Cohere: {"tokens": {"input_tokens", "output_tokens"}, "billed_units": {…}}
    delta: Any = None
    audio: Any = None
    error: Any = None


def _usage(answer: _Answer) -> Usage | None:
    value = answer.usage
    if not isinstance(value, dict) and isinstance(answer.meta, dict):
        value = answer.meta.get("tokens")
    if not isinstance(value, dict):
        return None
    details = value.get("input_tokens_details")
    return usage_of(
        prompt=value.get("prompt_tokens", value.get("input_tokens")),
        completion=value.get("completion_tokens", value.get("output_tokens")),
        total=value.get("total_tokens"),
        cached=details.get("cached_tokens") if isinstance(details, dict) else None,
        cost=value.get("cost"),
    )


class OtherBodyReader(WholeBodyReader):
    """Reads one JSON answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Answer

    def facts_of(self, answer: _Answer, *, terminal: bool, malformed: bool) -> ResponseFacts:
        """What an answer says."""
        return response_facts(
            model=cut(answer.model),
            finish_reason=None,
            usage=_usage(answer),
            terminal=terminal,
            malformed=malformed,
            error=error_in_body({"error": answer.error}) if answer.error else None,
            response_id=short_text(answer.id),
        )


class OtherStreamReader(EventReader):
    """Reads a stream of OpenAI's audio and image events: ``….delta``, ``….partial_image``, ``….done``, ``….completed``.

    What is generated (text, sound, a picture) is output; the events that end it carry the usage.
    """

    __slots__ = ("_model", "_usage")

    kind: ClassVar[type[msgspec.Struct]] = _Answer
    rules: ClassVar[FormRules] = FormRules(texts=(b'"delta":"', b'"audio":"'))
    max_event_bytes: ClassVar[int] = 8 * 1024 * 1024  # a whole picture

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._usage: Usage | None = None

    def read(self, event: _Answer) -> int:
        """One event."""
        kind = event.type if isinstance(event.type, str) else ""
        if event.error or kind == "error":
            return self.error_seen(error_in_body({"error": event.error}))
        self._model = self._model or cut(event.model)
        usage = _usage(event)
        if usage is not None:
            self._usage = usage
        if kind.endswith(_ENDS):
            return self.end_seen()
        self.only_text = usage is None
        return SAW_TOKEN | SAW_OUTPUT if event.delta or event.audio or kind.endswith(_PICTURES) else 0

    def facts(self, *, malformed: bool) -> ResponseFacts:
        """All that is known. After an event too long to be held nobody can say that the end is missing."""
        return response_facts(
            model=self._model,
            finish_reason=None,
            usage=self._usage,
            content_chunks=self.content_chunks,
            terminal=self.terminal or self._framer.overflowed,
            malformed=malformed,
            error=self.error,
        )
