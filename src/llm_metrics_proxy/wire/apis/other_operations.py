"""What servers offer besides generation: reranking, moderation, speech, transcription, images.

Their answers differ, and little in them is a fact for us: the model, an id, and token counts under one of the names
that servers use. Bodies other than JSON (sound, pictures, forms) are never read.

Sources: OpenAI's API reference (moderations, audio, images); Cohere's and Jina's (rerank).
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_usage import reported_cost
from llm_metrics_proxy.wire.base import SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, details, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.framing import BodyFraming
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_ENDS: Final = (".done", ".completed")
_PICTURES: Final = ".partial_image"


class OtherRequest(ModelRequest):
    """A request to any of these."""

    user: str | None = None
    stream_format: str | None = None  # of speech
    n: int | None = None
    documents: msgspec.Raw = MISSING
    texts: msgspec.Raw = MISSING  # llama.cpp's and TEI's name for documents
    input: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        given = (self.documents, self.texts, self.input, self.prompt)
        return self._facts(
            user=self.user,
            is_streaming=self.stream is True or self.stream_format == "sse",
            message_count=next((count_prompts(value) for value in given if value is not MISSING), None),
            choice_count=self.n,
        )


class _OtherAnswer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one."""

    type: Any = None
    id: Any = None
    model: str | None = None
    usage: Any = None
    meta: Any = None  # Cohere: {"tokens": {"input_tokens", "output_tokens"}, "billed_units": {…}}
    delta: Any = None
    audio: Any = None
    error: Any = None


def other_tokens(reports: Reports) -> Usage:
    """The counts in ``usage``, else in Cohere's ``meta``."""
    value = reports.get("usage") or details(reports.get("meta", {}), "tokens")
    return usage_of(
        prompt=value.get("prompt_tokens", value.get("input_tokens")),
        completion=value.get("completion_tokens", value.get("output_tokens")),
        total=value.get("total_tokens"),
        cached=details(value, "input_tokens_details").get("cached_tokens"),
        cost=reported_cost(value),
    )


class OtherBodyReader(WholeBodyReader):
    """Reads one JSON answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _OtherAnswer

    def facts_of(self, answer: _OtherAnswer, **ends: Any) -> ResponseFacts:
        response_id, reports = short_text(answer.id), UsageReports()
        reports.take("usage", answer.usage)
        reports.take("meta", answer.meta)
        return response_facts(response_model=cut(answer.model), reports=reports, response_id=response_id, **ends)


class OtherStreamReader(EventReader):
    """Reads a stream of OpenAI's audio and image events: ``….delta``, ``….partial_image``, ``….done``, ``….completed``.

    What is generated (text, sound, a picture) is output; the events that end it carry the usage.
    """

    __slots__ = ("_model", "_reports")

    kind: ClassVar[type[msgspec.Struct]] = _OtherAnswer
    rules: ClassVar[FormRules] = FormRules(texts=(b'"delta":"', b'"audio":"'))
    max_event_bytes: ClassVar[int] = 8 * 1024 * 1024  # a whole picture
    last_event_is_whole_answer: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._reports = UsageReports()

    def read(self, event: _OtherAnswer) -> int:
        kind = event.type if isinstance(event.type, str) else ""
        if event.error or kind == "error":
            return self.member_error_seen(event.error)
        self._model = self._model or cut(event.model)
        self._reports.take("usage", event.usage)
        self._reports.take("meta", event.meta)
        if kind.endswith(_ENDS):
            return self.end_seen()
        self.only_text = event.usage is None and event.meta is None
        return SAW_VISIBLE if event.delta or event.audio or kind.endswith(_PICTURES) else 0

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(response_model=self._model, reports=self._reports, **ends)


SOUND: Final = frozenset({BodyFraming.BINARY})  # and pictures
TEXTS: Final = frozenset({BodyFraming.TEXT})


def _other(name: str, operation: str, *paths: str, streams: bool = False, **more: Any) -> Dialect:
    return Dialect(
        name=name,
        operation=operation,
        paths=paths,
        read_request=OtherRequest.read,
        stream_reader=OtherStreamReader if streams else None,
        body_reader=OtherBodyReader,
        tokens=other_tokens,
        **more,
    )


# llama.cpp calls it reranking too; /v2 is Cohere's, vLLM's and Jina's. TEI answers with a list.
RERANK: Final = _other(
    "rerank", "rerank", "rerank", "reranking", "/v2/rerank",
    provider=None, has_output=False, signs=("results", "data", "["),
)  # fmt: skip
OPENAI_MODERATIONS: Final = _other(
    "openai_moderations", "moderation", "moderations", has_output=False, signs=("results",)
)
OPENAI_SPEECH: Final = _other("openai_speech", "speech", "**/audio/speech", streams=True, raw=SOUND)
OPENAI_TRANSCRIPTIONS: Final = _other(
    "openai_transcriptions", "transcription", "**/audio/transcriptions", streams=True, raw=TEXTS
)
OPENAI_TRANSLATIONS: Final = _other("openai_translations", "translation", "**/audio/translations", raw=TEXTS)
OPENAI_IMAGES: Final = _other(
    "openai_images", "image_generation",
    "**/images/generations", "**/images/edits", "**/images/variations",
    streams=True, raw=SOUND,
)  # fmt: skip
DIALECTS: Final = (
    RERANK,
    OPENAI_MODERATIONS,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
    OPENAI_IMAGES,
)
