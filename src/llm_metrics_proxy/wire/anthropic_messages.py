"""Anthropic Messages: what the request asks for, and the answer that is one JSON body. ``anthropic_stream`` reads the
others.

Source: Anthropic's API reference, "Create a Message". LiteLLM, OpenRouter, DeepSeek, vLLM, llama.cpp, Ollama and others
serve it too.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.anthropic_usage import AnthropicUsage
from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.error_body import error_in_body
from llm_metrics_proxy.wire.facts import cut, finite, response_facts, short_text, small_int
from llm_metrics_proxy.wire.tolerant import count_items, decode
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

TOOL_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})

_MISSING = msgspec.Raw()


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Request(msgspec.Struct):
    model: str | None = None
    metadata: _Metadata | None = None
    stream: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    messages: msgspec.Raw = _MISSING  # only counted: prompts never become Python objects
    tools: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_Request, body)
    if request is None:
        return RequestFacts()
    return RequestFacts(
        model=cut(request.model),
        user=None if request.metadata is None else cut(request.metadata.user_id),
        is_streaming=request.stream is True,
        max_tokens=small_int(request.max_tokens),
        temperature=finite(request.temperature),
        top_p=finite(request.top_p),
        message_count=count_items(request.messages),
        tool_count=count_items(request.tools),
    )


class Block(msgspec.Struct, gc=False):
    """One block of an answer's content; ``Any``: only whether it is empty matters."""

    type: str | None = None
    text: Any = None
    thinking: Any = None
    data: Any = None  # of redacted_thinking


class _Answer(msgspec.Struct, gc=False):
    type: str | None = None
    id: Any = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    usage: Any = None
    error: Any = None


class AnthropicBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = _Answer

    def facts_of(self, answer: _Answer, *, terminal: bool, malformed: bool) -> ResponseFacts:
        """What an answer says."""
        usage = AnthropicUsage()
        usage.take(answer.usage, with_output=True)
        content = answer.content
        return response_facts(
            model=cut(answer.model),
            finish_reason=cut(answer.stop_reason),
            usage=usage.usage(),
            terminal=terminal,
            malformed=malformed,
            error=error_in_body({"error": answer.error}) if answer.error else None,
            tool_call_count=None if content is None else sum(block.type in TOOL_BLOCKS for block in content),
            response_id=short_text(answer.id),
            service_tier=usage.service_tier,
        )
