"""Anthropic Messages: what the request asks for, and the answer that is one JSON body. ``anthropic_stream`` reads the
others.

Source: Anthropic's API reference, "Create a Message". LiteLLM, OpenRouter, DeepSeek, vLLM, llama.cpp, Ollama and others
serve it too.
"""

from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.anthropic_usage import AnthropicUsage
from llm_metrics_proxy.wire.base import RequestFacts, ResponseFacts
from llm_metrics_proxy.wire.facts import cut, response_facts, short_text
from llm_metrics_proxy.wire.requests import ModelRequest
from llm_metrics_proxy.wire.tolerant import MISSING, count_items
from llm_metrics_proxy.wire.whole_body import WholeBodyReader

TOOL_BLOCKS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class AnthropicRequest(ModelRequest):
    """``/messages``."""

    metadata: _Metadata | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    messages: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        """What it says."""
        return self._facts(
            user=None if self.metadata is None else self.metadata.user_id,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_items(self.messages),
            tool_count=count_items(self.tools),
        )


class AnthropicBlock(msgspec.Struct, gc=False):
    """One block of an answer's content; ``Any``: only whether it is empty matters."""

    type: str | None = None
    text: Any = None
    thinking: Any = None
    data: Any = None  # of redacted_thinking


class AnthropicMessage(msgspec.Struct, gc=False):
    """A whole answer; a streamed one begins with it, still empty."""

    id: Any = None
    model: str | None = None
    content: list[AnthropicBlock] | None = None
    stop_reason: str | None = None
    usage: Any = None
    error: Any = None


class AnthropicBodyReader(WholeBodyReader):
    """Reads one answer that was not streamed."""

    __slots__ = ()

    kind: ClassVar[type[msgspec.Struct]] = AnthropicMessage

    def facts_of(self, answer: AnthropicMessage, **ends: Any) -> ResponseFacts:
        """What an answer says."""
        usage = AnthropicUsage()
        usage.take(answer.usage, with_output=True)
        content = answer.content
        return response_facts(
            response_model=cut(answer.model),
            finish_reason=cut(answer.stop_reason),
            usage=usage.usage(),
            tool_call_count=None if content is None else sum(block.type in TOOL_BLOCKS for block in content),
            response_id=short_text(answer.id),
            service_tier=usage.service_tier,
            **ends,
        )
