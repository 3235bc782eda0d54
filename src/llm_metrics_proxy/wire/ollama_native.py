"""Ollama's own API: what its requests ask for, and answers that are one JSON body. ``ollama_stream`` reads the others.

Source: Ollama's API reference (``/api/chat``, ``/api/generate``, ``/api/embed``, and the older ``/api/embeddings``).
"""

from typing import Any, ClassVar

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.facts import cut, response_facts, usage_of
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.server_times import ollama_times
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
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
        """What it says."""
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


class OllamaLine(msgspec.Struct, gc=False):
    """One line of a stream, or a whole answer."""

    model: str | None = None
    message: _OllamaMessage | None = None
    response: Any = None  # of /api/generate
    thinking: Any = None
    done: Any = None
    done_reason: str | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    total_duration: Any = None
    load_duration: Any = None
    prompt_eval_duration: Any = None
    eval_duration: Any = None
    error: Any = None


def line_facts(line: OllamaLine, **others: Any) -> ResponseFacts:
    """What the last line says, or a whole answer. Ollama leaves a count out that is zero."""
    has_usage = line.prompt_eval_count is not None or line.eval_count is not None
    return response_facts(
        finish_reason=cut(line.done_reason),
        usage=usage_of(prompt=line.prompt_eval_count, completion=line.eval_count) if has_usage else None,
        times=ollama_times(line.total_duration, line.load_duration, line.prompt_eval_duration, line.eval_duration),
        **others,
    )


def tool_calls_of(message: _OllamaMessage) -> int:
    """Each line holds whole calls."""
    return len(message.tool_calls) if isinstance(message.tool_calls, list) else 0


class OllamaBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = OllamaLine
    max_depth: ClassVar[int] = 3  # the answer, its message, the tool calls

    def facts_of(self, answer: OllamaLine, **ends: Any) -> ResponseFacts:
        """What an answer says."""
        calls = None if answer.message is None else tool_calls_of(answer.message)
        return line_facts(answer, response_model=cut(answer.model), tool_call_count=calls, **ends)
