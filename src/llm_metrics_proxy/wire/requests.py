"""Bodies of requests as structs that name only what becomes a fact. Each dialect extends ``ModelRequest``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut, finite, small_int
from llm_metrics_proxy.wire.identity import one_line
from llm_metrics_proxy.wire.tolerant import MISSING, decode, read_items

CLAIMING: Final = {name: name for name in ("safety_identifier", "conversation", "conversation_id", "prompt_cache_key")}


class ModelRequest(msgspec.Struct):
    """What requests of every API name alike. Lists are ``Raw`` and only counted: prompts never become objects.

    So are members that may say who asks: ``identity`` reads those that count, and most requests have none.
    """

    # member of the body -> attribute
    claiming: ClassVar[Mapping[str, str]] = CLAIMING
    model: str | None = None
    stream: bool | None = None
    safety_identifier: msgspec.Raw = MISSING
    conversation: msgspec.Raw = MISSING
    conversation_id: msgspec.Raw = MISSING
    prompt_cache_key: msgspec.Raw = MISSING

    @classmethod
    def read(cls, body: bytes) -> RequestFacts:
        """The facts of a request's body; of one that is not a JSON object, none."""
        request = decode(cls, body)
        return RequestFacts() if request is None else request.facts()

    def facts(self) -> RequestFacts:
        """What it says. A dialect whose requests say more has its own."""
        return self._facts()

    def claims(self) -> dict[str, Any] | None:
        """The members that may say who asks, those that are there."""
        nothing = (
            self.safety_identifier is self.conversation is self.conversation_id is self.prompt_cache_key is MISSING
        )
        if nothing and self.claiming is CLAIMING:
            return None
        found: dict[str, Any] = {}
        for member, attribute in self.claiming.items():
            value = getattr(self, attribute)
            if value is not MISSING:
                found[member] = value
        return found or None

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
            user=one_line(user),
            is_streaming=self.stream is True if is_streaming is None else is_streaming,
            max_tokens=small_int(max_tokens),
            temperature=finite(temperature),
            top_p=finite(top_p),
            message_count=message_count,
            tool_count=tool_count,
            choice_count=small_int(choice_count),
            claims=self.claims(),
        )


def naming(read: Callable[[bytes], RequestFacts], members: Sequence[str]) -> Callable[[bytes], RequestFacts]:
    """``read``, the reader of a dialect's requests, with these members of the body among the claims."""
    kind = getattr(read, "__self__", None)
    if not members or not (isinstance(kind, type) and issubclass(kind, ModelRequest)):
        return read
    there = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
    new = {f"member_{number}": name for number, name in enumerate(members) if name not in there}
    claiming = {**kind.claiming, **{name: there.get(name, "") for name in members}, **{v: k for k, v in new.items()}}
    named = msgspec.defstruct(
        kind.__name__,
        [(attribute, msgspec.Raw, MISSING) for attribute in new],
        bases=(kind,),
        namespace={"claiming": claiming},
        rename=new,
    )
    return named.read  # type: ignore[attr-defined,no-any-return]


def count_prompts(value: msgspec.Raw) -> int | None:
    """How many prompts (or embedding inputs) ``value`` holds: one text, or one list of token numbers, is one."""
    if bytes(memoryview(value)[:1]) == b'"':
        return 1
    items = read_items(value)
    if items and bytes(memoryview(items[0])[:1]).isdigit():
        return 1
    return None if items is None else len(items)
