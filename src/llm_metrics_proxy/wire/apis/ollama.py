"""Ollama's own API: what its requests ask for, and its answers, streamed or not.

Source: Ollama's API reference (``/api/chat``, ``/api/generate``, ``/api/embed``, and the older ``/api/embeddings``). A
stream is one JSON object per line, the last one with ``done: true`` and all the numbers. An error in the middle is a
line ``{"error": "text"}``, and no ``done`` follows it.

Ollama streams unless asked not to, as ``application/x-ndjson``; gateways and imitations send the same lines under any
type. A stream's first line is an object of its own that is not the last one (``done: false``), or that another line
follows. A whole answer is one object, ``done: true``, over any number of lines.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import SAW_TOKEN, SAW_VISIBLE, RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.content_shape import FormRules
from llm_metrics_proxy.wire.dialects import Dialect, Family
from llm_metrics_proxy.wire.event_reader import EventReader
from llm_metrics_proxy.wire.facts import Usage, cut, response_facts, usage_of
from llm_metrics_proxy.wire.framing import BodyFraming
from llm_metrics_proxy.wire.ndjson import NdjsonReader
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import ollama_times
from llm_metrics_proxy.wire.tolerant import MISSING, UNREADABLE, count_items, decoder_of
from llm_metrics_proxy.wire.usage_reports import TOP, Reports, UsageReports, members_given
from llm_metrics_proxy.wire.whole_body import WholeBodyReader


class _Options(msgspec.Struct):
    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class OllamaRequest(ModelRequest):
    """``/api/chat`` and ``/api/generate``, which stream unless they say no."""

    may_stream: ClassVar[bool] = True
    options: _Options | None = None
    messages: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING
    input: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        options = self.options or _Options()
        counts = map(count_prompts, (self.messages, self.input, self.prompt))
        return self._facts(
            is_streaming=self.may_stream and self.stream is not False,
            max_tokens=options.num_predict,
            temperature=options.temperature,
            top_p=options.top_p,
            message_count=next((count for count in counts if count), None),
            tool_count=count_items(self.tools),
        )


class OllamaEmbedRequest(OllamaRequest):
    """``/api/embed`` and ``/api/embeddings``, which never stream."""

    may_stream: ClassVar[bool] = False


class _OllamaMessage(msgspec.Struct, gc=False):
    """``message`` of a chat answer; ``Any``: only whether it is empty matters."""

    content: Any = None
    thinking: Any = None
    tool_calls: Any = None
    images: Any = None


class OllamaLine(msgspec.Struct, gc=False):
    """One line of a stream, or a whole answer."""

    model: str | None = None
    message: _OllamaMessage | None = None
    response: Any = None  # of /api/generate
    thinking: Any = None
    image: Any = None  # of models that make pictures
    images: Any = None
    done: Any = None
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    total_duration: Any = None
    load_duration: Any = None
    prompt_eval_duration: Any = None
    eval_duration: Any = None
    error: Any = None


def ollama_tokens(reports: Reports) -> Usage:
    """The counts in the last line, or in a whole answer."""
    answer = reports.get(TOP, {})
    return usage_of(prompt=answer.get("prompt_eval_count"), completion=answer.get("eval_count"))


def line_facts(line: OllamaLine, **others: Any) -> ResponseFacts:
    """What the last line says, or a whole answer. Ollama leaves a count out that is zero."""
    reports = UsageReports()
    reports.take(TOP, members_given(prompt_eval_count=line.prompt_eval_count, eval_count=line.eval_count))
    return response_facts(
        finish_reason=cut(line.done_reason),
        reports=reports,
        times=ollama_times(line.total_duration, line.load_duration, line.prompt_eval_duration, line.eval_duration),
        **others,
    )


def tool_calls_of(message: _OllamaMessage) -> int:
    """Tool calls in one line; each line holds whole ones."""
    return len(message.tool_calls) if isinstance(message.tool_calls, list) else 0


class OllamaBodyReader(WholeBodyReader):
    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = OllamaLine

    def facts_of(self, answer: OllamaLine, **ends: Any) -> ResponseFacts:
        calls = None if answer.message is None else tool_calls_of(answer.message)
        return line_facts(answer, response_model=cut(answer.model), tool_call_count=calls, **ends)


class OllamaStreamReader(EventReader):
    __slots__ = ("_last", "_model", "_tool_calls")

    kind: ClassVar[type[msgspec.Struct]] = OllamaLine
    rules: ClassVar[FormRules] = FormRules(
        texts=(b'"content":"', b'"response":"', b'"thinking":"'), strings=(b'"created_at":"',), is_line=True
    )
    frame = NdjsonReader

    def __init__(self) -> None:
        super().__init__()
        self._model: str | None = None
        self._tool_calls: int | None = None  # once there was a message
        self._last = OllamaLine()

    def read(self, event: OllamaLine) -> int:
        if event.error:
            return self.member_error_seen(event.error)
        if self._model is None:
            self._model = cut(event.model)
        self.only_text, message = True, event.message
        seen = SAW_TOKEN if event.thinking else 0
        if event.response or event.image or event.images:
            seen = SAW_VISIBLE
        if message is not None:
            calls = tool_calls_of(message)
            self._tool_calls = (self._tool_calls or 0) + calls
            if message.content or calls or message.images:
                seen = SAW_VISIBLE
            elif message.thinking:
                seen |= SAW_TOKEN
            self.only_text = not calls
        if event.done is True:
            self.only_text = False
            self._last = event
            seen |= self.end_seen()
        return seen

    def facts(self, **ends: Any) -> ResponseFacts:
        return line_facts(self._last, response_model=self._model, tool_call_count=self._tool_calls, **ends)


def opens_stream(line: bytes) -> bool:
    """Whether an answer's first line is not its last one."""
    try:
        return decoder_of(OllamaLine)(line).done is False
    except UNREADABLE:
        return False


OLLAMA_CHAT: Final = Dialect(
    name="ollama_chat",
    operation="chat",
    paths=("/api/chat",),
    family=Family.OLLAMA,
    provider="ollama",
    read_request=OllamaRequest.read,
    stream_reader=OllamaStreamReader,
    body_reader=OllamaBodyReader,
    streams=BodyFraming.LINES,
    opens_stream=opens_stream,
    signs=("done", "role", "response"),
    tokens=ollama_tokens,
)
OLLAMA_GENERATE: Final = msgspec.structs.replace(
    OLLAMA_CHAT, name="ollama_generate", operation="text_completion", paths=("/api/generate",)
)
OLLAMA_EMBED: Final = Dialect(
    name="ollama_embed",
    operation="embeddings",
    paths=("/api/embed", "/api/embeddings"),
    family=Family.OLLAMA,
    provider="ollama",
    read_request=OllamaEmbedRequest.read,
    body_reader=OllamaBodyReader,
    has_output=False,
    signs=("embeddings", "embedding"),
    tokens=ollama_tokens,
)
DIALECTS: Final = (
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    OLLAMA_EMBED,
)
