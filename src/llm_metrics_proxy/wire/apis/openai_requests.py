"""Requests of OpenAI's chat completions, completions and embeddings. ``openai_body``, ``openai_stream`` read answers.

Source: OpenAI's API reference, "Create chat completion", "Create completion", "Create embeddings"; vLLM, SGLang,
llama.cpp, Ollama and others share the names. A prompt, like an input, is a text, a list of texts, a list of token
numbers, or a list of such lists.
"""

from typing import Annotated, Final

import msgspec

from llm_metrics_proxy.wire.base import MAX_TEXT_CHARS, MAX_TOKENS, RequestFacts
from llm_metrics_proxy.wire.identity import one_line
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
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
        return self._facts(
            user=self.user,
            max_tokens=self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=count_items(self.messages),
            tool_count=count_items(self.tools),
            choice_count=self.n,
        )


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT_CHARS)]
_Count = Annotated[int, msgspec.Meta(ge=-MAX_TOKENS, le=MAX_TOKENS)]


class _PlainChatRequest(ChatRequest, gc=False):
    """A request as nearly all are: what ``facts`` would have to look at, the decoder has checked, and anything else
    fails to decode. The lists are taken apart in the same pass; so it is only for bodies too small to make this costly.
    """

    model: _Name | None = None
    max_completion_tokens: _Count | None = None
    max_tokens: _Count | None = None
    n: _Count | None = None
    messages: list[msgspec.Raw] | None = None  # type: ignore[assignment]
    tools: list[msgspec.Raw] | None = None  # type: ignore[assignment]

    def facts(self) -> RequestFacts:
        messages, tools = self.messages, self.tools
        claims_nothing = (
            self.safety_identifier is self.conversation is self.conversation_id is self.prompt_cache_key is MISSING
        )
        return RequestFacts(
            model=self.model,
            user=None if self.user is None else one_line(self.user),
            is_streaming=self.stream is True,
            max_tokens=self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            message_count=None if messages is None else len(messages),
            tool_count=None if tools is None else len(tools),
            choice_count=self.n,
            claims=None if claims_nothing else self.claims(),
        )


_decode_plain: Final = decoder_of(_PlainChatRequest)


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
