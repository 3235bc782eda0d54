"""What Mistral has besides OpenAI's operations: fill-in-the-middle, agents and conversations.

Source: Mistral's API reference, and the models of its Python client.

The first two answer as chat completions do. A conversation's stream is of events that name their ``type``; the last one
is ``conversation.response.done`` with the usage, or ``conversation.response.error``. What connectors (web search, …)
read for the model counts in ``total_tokens`` alone, beside ``connector_tokens``. OpenAI's conversations have the same
paths and run no model: their answers have no usage.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_body import OpenAIBodyReader
from llm_metrics_proxy.wire.apis.openai_requests import ChatRequest, CompletionRequest
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT, OpenAIStreamReader
from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.error_body import error_facts
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, short_text, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.usage_reports import Reports, UsageReports
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class _CompletionArgs(msgspec.Struct):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class ConversationRequest(ModelRequest):
    """``/conversations``, and those below it that go on with one. An agent may stand in for a model."""

    inputs: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    completion_args: _CompletionArgs | None = None

    def facts(self) -> RequestFacts:
        asked = self.completion_args or _CompletionArgs()
        return self._facts(
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            message_count=count_prompts(self.inputs),
            tool_count=count_items(self.tools),
        )


class _Output(msgspec.Struct, gc=False):
    type: str | None = None
    model: str | None = None


class _Conversation(msgspec.Struct, gc=False):
    """A whole answer."""

    conversation_id: Any = None
    outputs: list[_Output] | None = None
    usage: Any = None
    error: Any = None


class _ConversationEvent(msgspec.Struct, gc=False):
    type: str | None = None
    conversation_id: Any = None
    model: str | None = None
    content: Any = None  # a text, or an object whose type says what it is
    name: Any = None
    arguments: Any = None
    tool_call_id: Any = None
    usage: Any = None
    message: Any = None  # of an error
    code: Any = None
    error: Any = None


def conversation_tokens(reports: Reports) -> Usage:
    """The total has what connectors read in it, which is more than the sum."""
    usage = reports.get("usage", {})
    return usage_of(
        prompt=usage.get("prompt_tokens"), completion=usage.get("completion_tokens"), total=usage.get("total_tokens")
    )


class ConversationBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Conversation

    def facts_of(self, answer: _Conversation, **ends: Any) -> ResponseFacts:
        reports, outputs = UsageReports(), answer.outputs or []
        reports.take("usage", answer.usage)
        return response_facts(
            response_model=next((model for each in outputs if (model := cut(each.model))), None),
            reports=reports,
            tool_call_count=None if answer.outputs is None else sum(each.type == "function.call" for each in outputs),
            response_id=short_text(answer.conversation_id),
            **ends,
        )


class ConversationStreamReader(EventReader):
    __slots__ = ("_calls", "_id", "_model", "_reports")

    kind: ClassVar[type[msgspec.Struct]] = _ConversationEvent
    rules: ClassVar[FormRules] = FormRules(
        texts=(b'"content":"', b'"content": "'), strings=(b'"created_at":"', b'"created_at": "')
    )

    def __init__(self) -> None:
        super().__init__()
        self._id: str | None = None
        self._model: str | None = None
        self._calls: set[Any] = set()
        self._reports = UsageReports()

    def read(self, event: _ConversationEvent) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        self._id = self._id or short_text(event.conversation_id)
        self._model = self._model or cut(event.model)
        take = _READ.get(event.type or "")
        return 0 if take is None else take(self, event)

    def facts(self, **ends: Any) -> ResponseFacts:
        return response_facts(
            response_model=self._model,
            reports=self._reports,
            tool_call_count=len(self._calls),
            response_id=self._id,
            **ends,
        )

    def _message(self, event: _ConversationEvent) -> int:
        self.only_text = isinstance(event.content, str)
        if not event.content:
            return 0
        is_thought = isinstance(event.content, dict) and event.content.get("type") == "thinking"
        return SAW_TOKEN if is_thought else SAW_VISIBLE

    def _call(self, event: _ConversationEvent) -> int:
        if isinstance(event.tool_call_id, str | int) and len(self._calls) < _MOST_CALLS:
            self._calls.add(event.tool_call_id)
        return SAW_VISIBLE if event.name or event.arguments else 0

    def _done(self, event: _ConversationEvent) -> int:
        self._reports.take("usage", event.usage)
        return self.end_seen()

    def _failed(self, event: _ConversationEvent) -> int:
        return self.error_seen(error_facts({"message": event.message, "code": event.code}))


_MOST_CALLS: Final = 10_000
_READ: Final[dict[str, Callable[[ConversationStreamReader, _ConversationEvent], int]]] = {
    "message.output.delta": ConversationStreamReader._message,
    "function.call.delta": ConversationStreamReader._call,
    "conversation.response.done": ConversationStreamReader._done,
    "conversation.response.error": ConversationStreamReader._failed,
}

MISTRAL_FIM: Final = Dialect(
    name="mistral_fim",
    operation="text_completion",
    paths=("fim/completions",),
    provider="mistral_ai",
    read_request=CompletionRequest.read,
    stream_reader=OpenAIStreamReader,
    body_reader=OpenAIBodyReader,
    tokens=OPENAI_CHAT.tokens,
    signs=OPENAI_CHAT.signs,
    never_empty=OPENAI_CHAT.never_empty,
)
MISTRAL_AGENTS: Final = msgspec.structs.replace(
    MISTRAL_FIM,
    name="mistral_agents",
    operation="chat",
    paths=("agents/completions",),
    read_request=ChatRequest.read,
)
CONVERSATIONS: Final = Dialect(
    name="conversations",
    operation="chat",
    paths=("conversations", "conversations/{id}", "conversations/{id}/restart"),
    provider=None,
    read_request=ConversationRequest.read,
    stream_reader=ConversationStreamReader,
    body_reader=ConversationBodyReader,
    tokens=conversation_tokens,
)
DIALECTS: Final = (MISTRAL_FIM, MISTRAL_AGENTS, CONVERSATIONS)
