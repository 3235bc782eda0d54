"""Ollama's own API: what its requests ask for, and answers that are one JSON body. ``ollama_stream`` reads the others.

Source: Ollama's API reference (``/api/chat``, ``/api/generate``, ``/api/embed``, and the older ``/api/embeddings``).
"""

from typing import Any, ClassVar

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.facts import Usage, cut, finite, response_facts, small_int, usage_of
from llm_metrics_proxy.wire.openai_completions import count_prompts
from llm_metrics_proxy.wire.server_times import ServerTimes, ollama_times
from llm_metrics_proxy.wire.tolerant import count_items, decode
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

_MISSING = msgspec.Raw()


class _Options(msgspec.Struct):
    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class _Request(msgspec.Struct):
    model: str | None = None
    stream: bool | None = None
    options: _Options | None = None
    messages: msgspec.Raw = _MISSING
    prompt: msgspec.Raw = _MISSING
    input: msgspec.Raw = _MISSING
    tools: msgspec.Raw = _MISSING


def read_generation(body: bytes) -> RequestFacts:
    """The facts of a request to ``/api/chat`` or ``/api/generate``: it streams unless it says no."""
    request = decode(_Request, body)
    return RequestFacts() if request is None else _facts(request, is_streaming=request.stream is not False)


def read_embedding(body: bytes) -> RequestFacts:
    """The facts of a request to ``/api/embed`` or ``/api/embeddings``, which never stream."""
    request = decode(_Request, body)
    return RequestFacts() if request is None else _facts(request, is_streaming=False)


def _facts(request: _Request, *, is_streaming: bool) -> RequestFacts:
    options = request.options or _Options()
    count = next((count for count in map(_count, (request.messages, request.input, request.prompt)) if count), None)
    return RequestFacts(
        model=cut(request.model),
        is_streaming=is_streaming,
        max_tokens=small_int(options.num_predict),
        temperature=finite(options.temperature),
        top_p=finite(options.top_p),
        message_count=count,
        tool_count=count_items(request.tools),
    )


def _count(value: msgspec.Raw) -> int | None:
    return None if value is _MISSING else count_prompts(value)


class Message(msgspec.Struct, gc=False):
    """``message`` of a chat answer; ``Any``: only whether it is empty matters."""

    content: Any = None
    thinking: Any = None
    tool_calls: Any = None


class Line(msgspec.Struct, gc=False):
    """One line of a stream, or a whole answer."""

    model: str | None = None
    message: Message | None = None
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


def line_usage(line: Line) -> Usage | None:
    """The counts of the last line; None if it has none. Ollama leaves a count out that is zero."""
    if line.prompt_eval_count is None and line.eval_count is None:
        return None
    return usage_of(prompt=line.prompt_eval_count, completion=line.eval_count)


def line_times(line: Line) -> ServerTimes:
    """The durations of the last line."""
    return ollama_times(line.total_duration, line.load_duration, line.prompt_eval_duration, line.eval_duration)


def tool_calls_of(message: Message | None) -> int:
    """Each line holds whole calls."""
    calls = None if message is None else message.tool_calls
    return len(calls) if isinstance(calls, list) else 0


class OllamaBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = Line
    max_depth: ClassVar[int] = 3  # the answer, its message, the tool calls

    def facts_of(self, answer: Line, *, terminal: bool, malformed: bool) -> ResponseFacts:
        """What an answer says."""
        return response_facts(
            model=cut(answer.model),
            finish_reason=cut(answer.done_reason),
            usage=line_usage(answer),
            terminal=terminal,
            malformed=malformed,
            error=error_in_body({"error": answer.error}) if answer.error else None,
            tool_call_count=None if answer.message is None else tool_calls_of(answer.message),
            times=line_times(answer),
        )
