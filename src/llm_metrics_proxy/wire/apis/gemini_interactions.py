"""Google's Interactions API, ``/v1beta/interactions``: model and input in the body, an answer made of steps.

Source: the types of Google's own SDK (google-genai 3.6, generated from the API's description). A stream names its
events in ``event_type``: ``interaction.created``, then ``step.start``, ``step.delta``, ``step.stop`` for each step, and
``interaction.completed`` with the usage; an error is an event of the type ``error``. ``total_tokens`` is the sum of
input, tool use, output and thoughts, as in ``usageMetadata``.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.gemini import GOOGLE, REPORT, gemini_tokens
from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, ErrorFacts, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_PLACE: Final = "usage"
_NAMES: Final = {
    "promptTokenCount": "total_input_tokens",
    "toolUsePromptTokenCount": "total_tool_use_tokens",
    "candidatesTokenCount": "total_output_tokens",
    "thoughtsTokenCount": "total_thought_tokens",
    "cachedContentTokenCount": "total_cached_tokens",
    "totalTokenCount": "total_tokens",
}
_GOES_ON: Final = frozenset({"in_progress", "queued", "idle"})
_FAILED: Final = "failed"
_CALL: Final = "_call"  # a function's, or of one of Google's own tools
_THOUGHTS: Final = frozenset({"thought_summary", "thought"})
_SIGNATURE: Final = "thought_signature"
_RESULT: Final = "_result"  # of a tool: not generated


def interaction_tokens(reports: Reports) -> Usage:
    """The counts of ``usage``, which are those of ``usageMetadata`` by other names."""
    report = reports.get(_PLACE, {})
    return gemini_tokens({REPORT: {name: report.get(theirs) for name, theirs in _NAMES.items()}})


class _InteractionConfig(msgspec.Struct):
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class InteractionRequest(ModelRequest):
    """With a model, or an agent, which then stands in its place."""

    agent: str | None = None
    input: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    generation_config: _InteractionConfig | None = None

    def facts(self) -> RequestFacts:
        config = self.generation_config or _InteractionConfig()
        self.model = self.model or self.agent
        return self._facts(
            max_tokens=config.max_output_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            message_count=1 if bytes(memoryview(self.input)[:1]) == b"{" else count_prompts(self.input),
            tool_count=count_items(self.tools),
        )


class _Step(msgspec.Struct, gc=False):
    type: str | None = None


class Interaction(msgspec.Struct, gc=False):
    """A whole answer; a streamed one begins and ends with it, without its steps."""

    id: Any = None
    model: str | None = None
    status: str | None = None
    steps: list[_Step] | None = None
    usage: Any = None
    service_tier: str | None = None
    errors: Any = None
    error: Any = None


class InteractionBodyReader(WholeBodyReader):
    """Reads an answer that is one object."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = Interaction

    def error_of(self, answer: Interaction) -> ErrorFacts | None:
        """Of one that failed, in ``errors``."""
        if answer.error or answer.status != _FAILED:
            return super().error_of(answer)
        first = answer.errors[0] if isinstance(answer.errors, list) and answer.errors else None
        return error_in_body({"error": first}) or ErrorFacts()

    def facts_of(self, answer: Interaction, **ends: Any) -> ResponseFacts:
        reports = UsageReports()
        reports.take(_PLACE, answer.usage)
        steps = answer.steps
        return response_facts(
            response_model=cut(answer.model),
            response_id=short_text(answer.id),
            finish_reason=_reason(answer.status),
            tool_call_count=None if steps is None else sum(_is_call(step.type) for step in steps),
            service_tier=cut(answer.service_tier),
            reports=reports,
            **ends,
        )


class _Delta(msgspec.Struct, gc=False):
    """``Any``: only whether it is empty matters."""

    type: str | None = None
    text: Any = None
    arguments: Any = None


class _InteractionEvent(msgspec.Struct, gc=False):
    event_type: str | None = None
    interaction: Interaction | None = None
    status: str | None = None
    step: _Step | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


class InteractionStreamReader(EventReader):
    """Reads server-sent events."""

    __slots__ = ("_finish_reason", "_last", "_reports", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = _InteractionEvent
    rules: ClassVar[FormRules] = FormRules(texts=(b'"text":"', b'"text": "'), strings=(b'"event_id":"',))

    def __init__(self) -> None:
        super().__init__()
        self._last = Interaction()  # with what each said that came before it
        self._finish_reason: str | None = None
        self._tool_calls: int | None = None
        self._reports = UsageReports()

    def read(self, event: _InteractionEvent) -> int:
        if event.error or event.event_type == "error":
            return self.member_error_seen(event.error)
        self._reports.take(_PLACE, event.usage)
        status = event.status
        if event.interaction is not None:
            status = self._about(event.interaction)
        seen = self._step(event.step) if event.step is not None else 0
        if event.delta is not None:
            seen |= self._delta(event.delta)
        if status == _FAILED:
            return seen | self.error_seen(None)
        reason = _reason(status)
        if reason is None:
            return seen
        self._finish_reason = reason
        return seen | self.end_seen()

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(
            response_model=cut(self._last.model),
            response_id=short_text(self._last.id),
            finish_reason=self._finish_reason,
            tool_call_count=self._tool_calls,
            service_tier=cut(self._last.service_tier),
            reports=self._reports,
            **ends,
        )

    def _about(self, interaction: Interaction) -> str | None:
        last = self._last
        last.id, last.model = interaction.id or last.id, interaction.model or last.model
        last.service_tier = interaction.service_tier or last.service_tier
        self._tool_calls = self._tool_calls or 0
        self._reports.take(_PLACE, interaction.usage)
        return interaction.status

    def _step(self, step: _Step) -> int:
        if not _is_call(step.type):
            return 0
        self._tool_calls = (self._tool_calls or 0) + 1
        return SAW_VISIBLE  # the tool's name is the first that is generated of a call

    def _delta(self, delta: _Delta) -> int:
        kind = delta.type or ""
        if kind == "text":
            self.only_text = True
            return SAW_VISIBLE if delta.text else 0
        if kind in _THOUGHTS:
            return SAW_TOKEN
        if kind == "arguments_delta":
            return SAW_VISIBLE if delta.arguments else 0
        return 0 if not kind or kind == _SIGNATURE or kind.endswith((_RESULT, "annotation_delta")) else SAW_VISIBLE


def _is_call(kind: str | None) -> bool:
    return kind is not None and kind.endswith(_CALL)


def _reason(status: str | None) -> str | None:
    """A status that ends an answer: completed, incomplete, requires_action, cancelled."""
    return None if not status or status in _GOES_ON or status == _FAILED else cut(status)


GEMINI_INTERACTIONS: Final = Dialect(
    name="gemini_interactions",
    operation="generate_content",
    paths=("interactions",),
    below=("/v1beta", "/v1", "/v1alpha"),
    family=Family.GEMINI,
    provider="gcp.gemini",
    seller=GOOGLE,
    read_request=InteractionRequest.read,
    stream_reader=InteractionStreamReader,
    body_reader=InteractionBodyReader,
    signs=("steps", "status"),
    tokens=interaction_tokens,
)
DIALECTS: Final = (GEMINI_INTERACTIONS,)
# One that runs in the background is asked for until it is done.
KEPT: Final = (
    Endpoint(paths=("interactions/{id}",), below=("/v1beta", "/v1", "/v1alpha"), method="GET", family=Family.GEMINI),
    Endpoint(paths=("interactions/{id}/cancel",), below=("/v1beta", "/v1", "/v1alpha"), family=Family.GEMINI),
)
