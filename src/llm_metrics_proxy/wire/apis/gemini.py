"""Google's Gemini API: generating content, whole and streamed. ``google_others`` has the rest.

Sources: Google's API reference, "Generating content" (its response, and ``usageMetadata``), and the same of Vertex AI.
Model and method stand in the path, ``models/gemini-2.5-pro:streamGenerateContent``. A stream is one of
server-sent events with ``?alt=sse``, else a JSON array that arrives piece by piece; each event is an answer
of its own, and nearly every one has ``usageMetadata``, a total so far.

``totalTokenCount`` is the sum of prompt, tool-use prompt, candidates and thoughts, which leave each other out; only
``cachedContentTokenCount`` is part of another, the prompt. Where prompt and candidates alone make up the total, the
server counts thoughts among the candidates.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.dialects import Dialect, Family, Seller
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import REFUSED, Usage, cut, response_facts, short_text, token_count, usage_of
from llm_metrics_proxy.wire.framing import LIST
from llm_metrics_proxy.wire.json_array import JsonArrayReader
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import MISSING, count_items, decode, read_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

PROJECTS: Final = ("/v1/projects/**", "/v1beta1/projects/**")  # of Vertex AI
# Where Google offers its methods: the Gemini API, and Vertex AI with a project and without one (express mode).
PLACES: Final = (
    *("/v1beta/models", "/v1/models", "/v1alpha/models", "/v1beta/tunedModels"),
    *(*PROJECTS, "/v1/publishers/**", "/v1beta1/publishers/**"),
)
GOOGLE: Final = Seller("google", "gemini")
REPORT: Final = "usageMetadata"

# Reasons why an answer ended, or a prompt was not answered, that are a filter's.
_FILTERS: Final = frozenset({
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION", "MODEL_ARMOR", "JAILBREAK", "ESCALATION", "PUP_LIMITED_DISABLED",
})  # fmt: skip
_NO_REASON: Final = frozenset({"FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})


def gemini_tokens(reports: Reports) -> Usage:
    """The counts of ``usageMetadata``."""
    report = reports.get(REPORT, {})
    prompt = _sum(report.get("promptTokenCount"), report.get("toolUsePromptTokenCount"))
    candidates, thoughts = report.get("candidatesTokenCount"), report.get("thoughtsTokenCount")
    total = report.get("totalTokenCount")
    thoughts_are_among_them = thoughts and candidates and _sum(prompt, candidates) == total
    return usage_of(
        prompt=prompt,
        completion=candidates if thoughts_are_among_them else _sum(candidates, thoughts),
        total=total,
        cached=report.get("cachedContentTokenCount"),
        reasoning=thoughts,
    )


def _sum(one: object, other: object) -> int | None:
    counts = [count for count in (token_count(one), token_count(other)) if count is not None]
    return REFUSED if REFUSED in counts else sum(counts) if counts else None


class _Config(msgspec.Struct):
    """Both ways to write a name are JSON of protocol buffers."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    candidate_count: int | None = None


class _CamelConfig(msgspec.Struct, rename="camel"):
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    candidate_count: int | None = None


class _GeminiTool(msgspec.Struct):
    camel: msgspec.Raw = msgspec.field(default=MISSING, name="functionDeclarations")
    snake: msgspec.Raw = msgspec.field(default=MISSING, name="function_declarations")


class GeminiRequest(ModelRequest):
    """``:generateContent``, ``:countTokens``. The model is the path's, whatever the body says."""

    streams: ClassVar[bool] = False
    contents: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    camel_config: _CamelConfig | None = msgspec.field(default=None, name="generationConfig")
    generation_config: _Config | None = None

    def facts(self) -> RequestFacts:
        config = self.camel_config or self.generation_config or _Config()
        facts = self._facts(
            is_streaming=self.streams,
            max_tokens=config.max_output_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            message_count=count_contents(self.contents),
            tool_count=_count_tools(self.tools),
            choice_count=config.candidate_count,
        )
        return msgspec.structs.replace(facts, model=None)


class GeminiStreamRequest(GeminiRequest):
    """``:streamGenerateContent``."""

    streams: ClassVar[bool] = True


def count_contents(value: msgspec.Raw) -> int | None:
    """How many contents: of a list, or the one that stands alone."""
    return 1 if bytes(memoryview(value)[:1]) == b"{" else count_items(value)


def _count_tools(value: msgspec.Raw) -> int | None:
    """Each function is a tool, as in other APIs, and so is each of Google's own."""
    tools = read_items(value)
    if tools is None:
        return None
    return sum(_functions(tool) or 1 for tool in tools)


def _functions(tool: msgspec.Raw) -> int | None:
    found = decode(_GeminiTool, tool) or _GeminiTool()
    return count_items(found.camel) or count_items(found.snake)


class _GeminiCall(msgspec.Struct, gc=False):
    name: str | None = None  # none: more arguments of the call that has begun


class _GeminiPart(msgspec.Struct, gc=False, rename="camel"):
    """``Any``: only whether it is empty matters. Pictures and sound stay as they were written."""

    text: Any = None
    thought: Any = None
    function_call: _GeminiCall | None = None
    inline_data: msgspec.Raw = MISSING
    file_data: msgspec.Raw = MISSING
    executable_code: msgspec.Raw = MISSING
    tool_call: msgspec.Raw = MISSING


class _GeminiContent(msgspec.Struct, gc=False):
    parts: list[_GeminiPart] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _GeminiContent | None = None
    finish_reason: str | None = None
    index: Any = None  # 0 is left out


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class GeminiAnswer(msgspec.Struct, gc=False, rename="camel"):
    """A whole answer, or an event of a streamed one."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Any = None
    model_version: str | None = None
    response_id: Any = None
    error: Any = None


class _AnswerSoFar:
    """What an answer has said so far."""

    __slots__ = ("blocked", "finish_reason", "id", "model", "reports", "tool_calls")

    def __init__(self) -> None:
        self.reports = UsageReports()
        self.model: str | None = None
        self.id: str | None = None
        self.finish_reason: str | None = None
        self.blocked = False
        self.tool_calls: int | None = None  # once there was a candidate

    def take(self, answer: GeminiAnswer) -> int:
        """What it brought, as ``SAW_TOKEN`` and ``SAW_OUTPUT``."""
        if self.model is None:
            self.model = cut(answer.model_version)
        if self.id is None:
            self.id = short_text(answer.response_id)
        self.reports.take(REPORT, answer.usage_metadata)
        if answer.prompt_feedback is not None and self._ended(answer.prompt_feedback.block_reason):
            self.blocked = True  # whatever the reason is: a prompt is not answered for no other
        seen = 0
        for candidate in answer.candidates or ():
            self.tool_calls = self.tool_calls or 0
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    seen |= self._part(part)
            # Every event may have one, so the last counts; of several candidates that of the first.
            if not candidate.index or self.finish_reason is None:
                self._ended(candidate.finish_reason)
        return seen

    def facts(self, **ends: Any) -> ResponseFacts:
        """All of it."""
        report = self.reports.merged.get(REPORT, {})
        return response_facts(
            reports=self.reports,
            response_model=self.model,
            response_id=self.id,
            finish_reason=self.finish_reason,
            tool_call_count=self.tool_calls,
            service_tier=cut(report.get("serviceTier")) or cut(report.get("trafficType")),
            blocked=self.blocked or self.finish_reason in _FILTERS,
            **ends,
        )

    def _ended(self, reason: str | None) -> bool:
        if not reason or reason in _NO_REASON:
            return False
        self.finish_reason = cut(reason)
        return True

    def _part(self, part: _GeminiPart) -> int:
        if part.function_call is not None:
            if part.function_call.name:
                self.tool_calls = (self.tool_calls or 0) + 1
            return SAW_VISIBLE
        if part.text:
            return SAW_TOKEN if part.thought is True else SAW_VISIBLE
        if _is_object(part.executable_code) or _is_object(
            part.tool_call
        ):  # Google runs it; its result is not generated
            self.tool_calls = (self.tool_calls or 0) + 1
            return SAW_VISIBLE
        if _is_object(part.inline_data) or _is_object(part.file_data):
            return SAW_TOKEN if part.thought is True else SAW_VISIBLE  # sketches on the way to a picture are thoughts
        return 0


def _is_object(value: msgspec.Raw) -> bool:
    return bytes(memoryview(value)[:1]) == b"{"


class GeminiBodyReader(WholeBodyReader):
    """Reads an answer that is one object."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = GeminiAnswer

    def facts_of(self, answer: GeminiAnswer, **ends: Any) -> ResponseFacts:
        known = _AnswerSoFar()
        known.take(answer)
        return known.facts(**ends)


class GeminiStreamReader(EventReader):
    """Reads server-sent events."""

    __slots__ = ("_known",)

    kind: ClassVar[type[msgspec.Struct]] = GeminiAnswer

    def __init__(self) -> None:
        super().__init__()
        self._known = _AnswerSoFar()

    def read(self, event: GeminiAnswer) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        seen = self._known.take(event)
        return seen | self.end_seen() if self._known.finish_reason is not None else seen

    def facts(self, **ends: Any) -> ResponseFacts:
        return self._known.facts(**ends)


class GeminiArrayReader(GeminiStreamReader):
    """Reads a streamed array, whose closing bracket ends it as a finish reason does."""

    __slots__ = ()

    frame = JsonArrayReader

    def finish(self) -> ResponseFacts:
        """The facts, whether the array ended well or broke off."""
        if isinstance(self._framer, JsonArrayReader):
            self.terminal = self.terminal or self._framer.ended
            self.malformed = self.malformed or self._framer.broken
        return super().finish()


GEMINI_GENERATE: Final = Dialect(
    name="gemini_generate",
    operation="generate_content",
    paths=("**/*:generateContent",),
    below=PLACES,
    family=Family.GEMINI,
    provider="gcp.gemini",
    seller=GOOGLE,
    read_request=GeminiRequest.read,
    stream_reader=GeminiStreamReader,
    body_reader=GeminiBodyReader,
    readers={LIST: GeminiArrayReader},
    signs=("candidates",),
    never_empty=True,
    tokens=gemini_tokens,
)
GEMINI_STREAM: Final = msgspec.structs.replace(
    GEMINI_GENERATE,
    name="gemini_stream",
    paths=("**/*:streamGenerateContent",),
    read_request=GeminiStreamRequest.read,
)
GEMINI_COUNT_TOKENS: Final = Dialect(
    name="gemini_count_tokens",
    operation="count_tokens",
    paths=("**/*:countTokens", "**/*:computeTokens"),
    below=PLACES,
    family=Family.GEMINI,
    provider="gcp.gemini",
    read_request=GeminiRequest.read,  # no reader: it counts a prompt that is not run, and no tokens were used
)
DIALECTS: Final = (GEMINI_GENERATE, GEMINI_STREAM, GEMINI_COUNT_TOKENS)
