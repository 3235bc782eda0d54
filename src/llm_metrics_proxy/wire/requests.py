"""Bodies of requests as structs that name only what becomes a fact. Each dialect extends ``ModelRequest``."""

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.tolerant import decode, read_items


class ModelRequest(msgspec.Struct):
    """What requests of every API name alike. Lists are ``Raw`` and only counted: prompts never become objects."""

    model: str | None = None
    stream: bool | None = None

    @classmethod
    def read(cls, body: bytes) -> RequestFacts:
        """The facts of a request's body; of one that is not a JSON object, none."""
        request = decode(cls, body)
        return RequestFacts() if request is None else request.facts()

    def facts(self) -> RequestFacts:
        """What it says. A dialect whose requests say more has its own."""
        return self._facts()

    def _facts(
        self,
        *,
        user: str | None = None,
        is_streaming: bool | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        message_count: int | None = None,
        tool_count: int | None = None,
        choice_count: int | None = None,
    ) -> RequestFacts:
        """Values as they were given become facts: texts are cut, numbers that no column could hold are left out."""
        return RequestFacts(
            model=cut(self.model),
            user=cut(user),
            is_streaming=self.stream is True if is_streaming is None else is_streaming,
            max_tokens=small_int(max_tokens),
            temperature=finite(temperature),
            top_p=finite(top_p),
            message_count=message_count,
            tool_count=tool_count,
            choice_count=small_int(choice_count),
        )


def count_prompts(value: msgspec.Raw) -> int | None:
    """How many prompts (or embedding inputs) ``value`` holds: one text, or one list of token numbers, is one."""
    if bytes(memoryview(value)[:1]) == b'"':
        return 1
    items = read_items(value)
    if items and bytes(memoryview(items[0])[:1]).isdigit():
        return 1
    return None if items is None else len(items)
