"""How many tool calls a streamed answer makes, from pieces of them.

OpenAI sends each call in many pieces that share an ``index``, the first one with an ``id``. Gemini's compatible API
sends whole calls that all have the index 0 but different ids, and some servers send no index at all.
"""

from typing import Any, Final

_MOST: Final = 1024  # more calls than that are not counted


class ToolCalls:
    """Fed the ``tool_calls`` and ``function_call`` members of every choice's ``delta``."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[tuple[Any, ...], set[str]] = {}  # by choice and index: the ids seen there

    @property
    def count(self) -> int:
        """Calls so far."""
        return sum(max(len(ids), 1) for ids in self._ids.values()) if self._ids else 0

    def take(self, choice: object, calls: object, function_call: object) -> None:
        """One event's news of a choice."""
        which = choice if isinstance(choice, int) else 0
        if function_call:
            self._note((which, "function_call"), None)
        if isinstance(calls, list):
            for call in calls:
                if isinstance(call, dict):
                    index = call.get("index")
                    self._note((which, index if isinstance(index, int) else 0), call.get("id"))

    def _note(self, place: tuple[Any, ...], call_id: object) -> None:
        if place not in self._ids and len(self._ids) >= _MOST:
            return
        ids = self._ids.setdefault(place, set())
        if isinstance(call_id, str) and call_id and len(ids) < _MOST:
            ids.add(call_id[:256])
