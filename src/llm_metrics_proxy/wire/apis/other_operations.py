"""What servers offer besides generation: reranking, moderation, speech, transcription, images.

Their answers differ, and little in them is a fact for us: the model, an id, and token counts under one of the names
that servers use. Bodies other than JSON (sound, pictures, forms) are never read.

Sources: OpenAI's API reference (moderations, audio, images); Cohere's and Jina's (rerank).
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.cohere import cohere_tokens, counts_in_meta
from llm_metrics_proxy.wire.apis.openai_usage import reported_cost
from llm_metrics_proxy.wire.base import SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect, Family
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, details, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.framing import BodyFraming
from llm_metrics_proxy.wire.head_counts import head_tokens
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_ENDS: Final = (".done", ".completed")


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


class _OtherDelta(msgspec.Struct, gc=False):
    content: Any = None


class _OtherChoice(msgspec.Struct, gc=False):
    """vLLM streams a transcription in chat's shape."""

    delta: _OtherDelta | None = None
    finish_reason: Any = None


class _OtherAnswer(msgspec.Struct, gc=False):
    """A whole answer, or an event of a streamed one."""

    type: Any = None
    id: Any = None
    model: str | None = None
    usage: Any = None
    meta: Any = None  # Cohere: {"tokens": {"input_tokens", "output_tokens"}, "billed_units": {…}}
    delta: Any = None
    audio: Any = None
    text: Any = None  # of one speaker's segment; in the end the whole
    b64_json: Any = None  # a picture
    url: Any = None
    choices: list[_OtherChoice] | None = None
    error: Any = None


def other_tokens(reports: Reports) -> Usage:
    """The counts in ``usage``, else in Cohere's ``meta``, else in the head."""
    value = reports.get("usage", {})
    if not value and "meta" in reports:
        return cohere_tokens(reports)
    counts = usage_of(
        prompt=value.get("prompt_tokens", value.get("input_tokens")),
        completion=value.get("completion_tokens", value.get("output_tokens")),
        total=value.get("total_tokens"),
        cached=details(value, "input_tokens_details").get("cached_tokens"),
        cost=reported_cost(value),
    )
    return head_tokens(reports, counts)


class OtherBodyReader(WholeBodyReader):
    """Reads one JSON answer."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _OtherAnswer

    def facts_of(self, answer: _OtherAnswer, **ends: Any) -> ResponseFacts:
        response_id, reports = short_text(answer.id), UsageReports()
        reports.take("usage", answer.usage)
        reports.take("meta", counts_in_meta(answer.meta))
        return response_facts(response_model=cut(answer.model), reports=reports, response_id=response_id, **ends)


class OtherStreamReader(EventReader):
    """Reads a stream of OpenAI's audio and image events: ``….delta``, ``….partial_image``, ``….done``, ``….completed``.

    What is generated (text, sound, a picture) is output; the events that end it carry the usage. vLLM streams in chat's
    shape instead.
    """

    __slots__ = ("_model", "_reports")

    kind: ClassVar[type[msgspec.Struct]] = _OtherAnswer
    rules: ClassVar[FormRules] = FormRules(texts=(b'"delta":"', b'"audio":"'))

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
            # The last picture comes with the end; a text is repeated there, unless no part of it came before.
            made = event.b64_json or event.url or (event.text and not self.content_chunks)
            return self.end_seen() | (SAW_VISIBLE if made else 0)
        self.only_text = event.usage is None and event.meta is None and event.choices is None
        seen = SAW_VISIBLE if event.delta or event.audio or event.b64_json or event.text else 0
        for choice in event.choices or ():
            if choice.delta is not None and choice.delta.content:
                seen |= SAW_VISIBLE
            if choice.finish_reason:
                seen |= self.end_seen()
        return seen

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


# llama.cpp calls it reranking too; /v2 is Cohere's, vLLM's and Jina's. TEI answers with a list, and counts in the head.
RERANK: Final = _other(
    "rerank", "rerank", "rerank", "reranking", "/v2/rerank",
    family=Family.SHARED, provider=None, has_output=False, signs=("results", "data", "["), counts_in_head=True,
)  # fmt: skip
OPENAI_MODERATIONS: Final = _other(
    "openai_moderations", "moderation", "moderations", has_output=False, signs=("results",)
)
# Mistral's classifiers answer alike.
MISTRAL_CLASSIFICATIONS: Final = _other(
    "mistral_classifications", "classification",
    "classifications", "chat/classifications", "chat/moderations",
    provider="mistral_ai", has_output=False, signs=("results",),
)  # fmt: skip
MISTRAL_OCR: Final = _other("mistral_ocr", "ocr", "ocr", provider="mistral_ai", signs=("pages",))
# Voyage's, which count text and pictures together.
VOYAGE_EMBEDDINGS: Final = _other(
    "voyage_embeddings", "embeddings", "contextualizedembeddings", "multimodalembeddings", provider=None,
    has_output=False, signs=("data",),
)  # fmt: skip
LOCALAI_SOUND: Final = _other(
    "localai_sound", "speech", "/tts", "/v1/sound-generation", "/v1/text-to-speech/*", provider=None, raw=SOUND
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
    MISTRAL_CLASSIFICATIONS,
    MISTRAL_OCR,
    VOYAGE_EMBEDDINGS,
    LOCALAI_SOUND,
    OPENAI_SPEECH,
    OPENAI_TRANSCRIPTIONS,
    OPENAI_TRANSLATIONS,
    OPENAI_IMAGES,
)
