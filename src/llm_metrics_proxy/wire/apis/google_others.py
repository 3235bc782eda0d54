"""What Google offers besides generating content: embeddings, pictures, and other makers' models on Vertex AI.

Sources: Google's API references, "Embeddings" (``:embedContent``, ``:batchEmbedContents``) and Vertex AI's
"text embeddings", "Imagen" (``:predict``), "Claude models" and "Mistral AI models" (``:rawPredict``,
``:streamRawPredict``), "OpenAI compatibility" (``endpoints/openapi/chat/completions``). Vertex AI passes Anthropic's
Messages and OpenAI's chat on as they are; whose API it is, the publisher in the path says.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.anthropic import ANTHROPIC_COUNT_TOKENS, ANTHROPIC_MESSAGES
from llm_metrics_proxy.wire.apis.gemini import GOOGLE, PLACES, PROJECTS, REPORT, count_contents, gemini_tokens
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT
from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family
from llm_metrics_proxy.wire.facts import REFUSED, Usage, response_facts, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import REFUSED_IN, Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_STATISTICS: Final = "predictions.embeddings.statistics"  # summed over what was embedded
_METHODS: Final = (
    "generateContent", "streamGenerateContent", "countTokens", "computeTokens", "embedContent", "batchEmbedContents",
    "asyncBatchEmbedContent", "batchGenerateContent", "predict", "predictLongRunning", "fetchPredictOperation",
    "rawPredict", "streamRawPredict",
)  # fmt: skip
MODEL: Final = re.compile(rf".*/(?:models|tunedModels|endpoints)/([^/]+)(?::|%3[aA])(?:{'|'.join(_METHODS)})/?")


class _Parameters(msgspec.Struct, rename="camel"):
    sample_count: int | None = None


class GoogleRequest(ModelRequest):
    """A request to any of these. The model is the path's, whatever the body says."""

    content: msgspec.Raw = MISSING  # of embedContent
    requests: msgspec.Raw = MISSING  # of batchEmbedContents
    instances: msgspec.Raw = MISSING  # of predict
    parameters: _Parameters | None = None

    def facts(self) -> RequestFacts:
        counts = (count_contents(self.content), count_items(self.requests), count_items(self.instances))
        return RequestFacts(
            message_count=next((count for count in counts if count is not None), None),
            choice_count=None if self.parameters is None else self.parameters.sample_count,
        )


class _Embeddings(msgspec.Struct, gc=False):
    statistics: Any = None


class _Prediction(msgspec.Struct, gc=False):
    embeddings: _Embeddings | None = None


class _GoogleAnswer(msgspec.Struct, gc=False, rename="camel"):
    usage_metadata: Any = None
    predictions: list[_Prediction] | None = None
    error: Any = None


class GoogleBodyReader(WholeBodyReader):
    """Reads one answer, which often says no more than that it is one."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _GoogleAnswer

    def facts_of(self, answer: _GoogleAnswer, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take(REPORT, answer.usage_metadata)
        for prediction in answer.predictions or ():
            if prediction.embeddings is not None:
                reports.add(_STATISTICS, prediction.embeddings.statistics)
        return response_facts(reports=reports, **ends)


def google_tokens(reports: Reports) -> Usage:
    """The counts of ``usageMetadata``, or the tokens of all texts that were embedded."""
    embedded = reports.get(_STATISTICS)
    if embedded is None:
        return gemini_tokens(reports)
    refused = REFUSED_IN + _STATISTICS in reports
    return usage_of(prompt=REFUSED if refused else embedded.get("token_count"))


def _by_path(read: Callable[[bytes], RequestFacts]) -> Callable[[bytes], RequestFacts]:
    """Reads another maker's request; the model is the path's, which has its version too, whatever the body says."""

    def read_request(body: bytes) -> RequestFacts:
        return msgspec.structs.replace(read(body), model=None)

    return read_request


def _google(name: str, operation: str, *paths: str, **more: Any) -> Dialect:
    return Dialect(
        name=name,
        operation=operation,
        paths=paths,
        below=PLACES,
        family=Family.GEMINI,
        provider="gcp.gemini",
        seller=GOOGLE,
        read_request=GoogleRequest.read,
        body_reader=GoogleBodyReader,
        tokens=google_tokens,
        **more,
    )


GEMINI_EMBED: Final = _google(
    "gemini_embed",
    "embeddings",
    "**/*:embedContent",
    "**/*:batchEmbedContents",
    has_output=False,
    signs=("embedding", "embeddings"),
)
GEMINI_IMAGES: Final = _google("gemini_images", "image_generation", "**/imag*:predict")  # Imagen
VERTEX_EMBED: Final = msgspec.structs.replace(  # what else is predicted has no reader of its own
    GEMINI_EMBED, name="vertex_embed", paths=("**/*:predict",), provider="gcp.vertex_ai", signs=("predictions",)
)
VERTEX_COUNT_TOKENS: Final = msgspec.structs.replace(
    ANTHROPIC_COUNT_TOKENS,
    name="vertex_count_tokens",
    paths=("**/publishers/anthropic/models/count-tokens:rawPredict",),  # the model is in the body
    below=PROJECTS,
    family=Family.GEMINI,
    provider="gcp.vertex_ai",
)
VERTEX_MESSAGES: Final = msgspec.structs.replace(
    ANTHROPIC_MESSAGES,
    name="vertex_messages",
    paths=tuple(f"**/publishers/anthropic/models/*:{method}" for method in ("rawPredict", "streamRawPredict")),
    below=PROJECTS,
    family=Family.GEMINI,
    provider="gcp.vertex_ai",
    read_request=_by_path(ANTHROPIC_MESSAGES.read_request),
)
VERTEX_RAW_CHAT: Final = msgspec.structs.replace(
    OPENAI_CHAT,
    name="vertex_raw_chat",
    paths=tuple(
        f"**/{model}:{method}"
        for model in ("publishers/*/models/*", "endpoints/*")
        for method in ("rawPredict", "streamRawPredict")
    ),
    below=PROJECTS,
    family=Family.GEMINI,
    provider="gcp.vertex_ai",
    read_request=_by_path(OPENAI_CHAT.read_request),
    can_inject_usage=False,
)
VERTEX_CHAT: Final = msgspec.structs.replace(
    OPENAI_CHAT,
    name="vertex_chat",
    paths=("**/endpoints/*/chat/completions",),  # openapi, or a model of one's own
    below=PROJECTS,
    family=Family.GEMINI,
    provider="gcp.vertex_ai",
    seller=GOOGLE,
)
DIALECTS: Final = (
    GEMINI_EMBED,
    GEMINI_IMAGES,
    VERTEX_EMBED,
    VERTEX_COUNT_TOKENS,
    VERTEX_MESSAGES,
    VERTEX_RAW_CHAT,
    VERTEX_CHAT,
)

# What passes and is not read: what is answered later, the Live API, and lists of models.
LATER: Final = Endpoint(
    paths=(
        "**/*:batchGenerateContent", "**/*:asyncBatchEmbedContent", "**/*:predictLongRunning",
        "**/*:fetchPredictOperation",
    ),
    below=PLACES,
    family=Family.GEMINI,
)  # fmt: skip
LIVE: Final = Endpoint(  # sessions over a WebSocket: frames are counted, tokens are not
    paths=(
        "/ws/google.ai.generativelanguage.*.GenerativeService.BidiGenerateContent*",
        "/ws/google.ai.generativelanguage.*.GenerativeService.BidiGenerateContent",
        "/ws/google.cloud.aiplatform.*.LlmBidiService/BidiGenerateContent",
    ),
    method="GET",
    family=Family.GEMINI,
)
LISTS: Final = Endpoint(
    paths=("models", "models/**", "tunedModels", "tunedModels/**", "batches/*"),
    below=("/v1beta", "/v1alpha", "/v1beta1/publishers/*", "/v1/publishers/*"),
    method="GET",
    family=Family.GEMINI,
)
