"""Requests of OpenAI's chat completions, completions and embeddings. ``openai_body``, ``openai_stream`` read answers.

Source: OpenAI's API reference, "Create chat completion", "Create completion", "Create embeddings"; vLLM, SGLang,
llama.cpp, Ollama and others share the names. A prompt, like an input, is a text, a list of texts, a list of token
numbers, or a list of such lists.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.identity import one_line
from llm_metrics_proxy.wire.requests import CLAIMING, ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MAX_MEMBERS, MISSING, UNREADABLE, count_items, decoder_of


class ChatRequest(ModelRequest):
    """``/chat/completions``."""

    user: str | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    messages: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING

    @classmethod
    def read(cls, body: bytes) -> RequestFacts:
        """Nearly always in one pass; the careful way keeps what can be read of any other."""
        if len(body) <= MAX_MEMBERS and cls is ChatRequest:
            try:
                return _decode_plain(body).facts()  # type: ignore[no-any-return]
            except UNREADABLE:
                pass
        return super().read(body)

    def facts(self) -> RequestFacts:
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        # The commonest request of all: by way of ``_facts`` it would take 0.2 µs more, and as much if what is not given
        # were checked too.
        return RequestFacts(
            model=cut(self.model),
            user=None if self.user is None else one_line(self.user),
            is_streaming=self.stream is True,
            max_tokens=None if limit is None else small_int(limit),
            temperature=None if self.temperature is None else finite(self.temperature),
            top_p=None if self.top_p is None else finite(self.top_p),
            message_count=_count(self.messages),
            tool_count=None if self.tools is None else _count(self.tools),
            choice_count=None if self.n is None else small_int(self.n),
            claims=None
            if self.safety_identifier is self.conversation is self.conversation_id is self.prompt_cache_key is MISSING
            and self.claiming is CLAIMING
            else self.claims(),
        )


class _PlainChatRequest(ChatRequest):
    """The lists taken apart in the same pass; only for bodies too small to make this costly."""

    messages: list[msgspec.Raw] | None = None  # type: ignore[assignment]
    tools: list[msgspec.Raw] | None = None  # type: ignore[assignment]


_decode_plain: Final = decoder_of(_PlainChatRequest)


def _count(items: list[msgspec.Raw] | msgspec.Raw | None) -> int | None:
    if items is None or isinstance(items, list):
        return None if items is None else len(items)
    return count_items(items)


class CompletionRequest(ModelRequest):
    """``/completions``, the older API of texts."""

    user: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    prompt: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(
            user=self.user,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_prompts(self.prompt),
            choice_count=self.n,
        )


class EmbeddingsRequest(ModelRequest):
    """``/embeddings``, which never streams."""

    user: str | None = None
    input: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(user=self.user, is_streaming=False, message_count=count_prompts(self.input))
