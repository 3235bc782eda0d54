"""Token counts as Anthropic reports them: in parts, more than once, each report a total so far.

Source: Anthropic's API reference, "Messages" and "Streaming messages": ``usage`` of ``message_delta`` is cumulative.
``input_tokens`` leaves out what was read from or written to the cache; the whole input is the sum of the three.
"""

from typing import Any, Final

from llm_metrics_proxy.wire.facts import Usage, cut, token_count, usage_of

_INPUT: Final = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_OUTPUT: Final = "output_tokens"


class AnthropicUsage:
    """The last report of each count.

    A zero never replaces more, because totals do not fall: gateways send zeros at the start (real numbers come in
    ``message_delta``) or in ``message_delta`` (they came in ``message_start``).
    """

    __slots__ = ("_counts", "_refused", "service_tier")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._refused: set[str] = set()
        self.service_tier: str | None = None

    def take(self, report: object, *, with_output: bool) -> None:
        """A ``usage`` object. The first one of a stream counts the output before there is any: ``with_output`` no."""
        if not isinstance(report, dict):
            return
        self.service_tier = cut(report.get("service_tier")) or self.service_tier
        for name in (*_INPUT, _OUTPUT) if with_output else _INPUT:
            value: Any = report.get(name)
            count = token_count(value)
            if isinstance(count, int):
                self._counts[name] = count or self._counts.get(name, 0)
                self._refused.discard(name)
            elif value is not None:
                self._refused.add(name)

    def usage(self) -> Usage | None:
        """The counts in the names that all dialects share; None without any report."""
        if not self._counts and not self._refused:
            return None
        known: dict[str, Any] = {name: count for name, count in self._counts.items() if name not in self._refused}
        known |= dict.fromkeys(self._refused, -1)  # refused again, and told
        prompt: int | None = known.get("input_tokens")
        if prompt is not None:
            parts = [known.get(name, 0) for name in _INPUT]
            prompt = -1 if -1 in parts else sum(parts)
        return usage_of(
            prompt=prompt,
            completion=known.get(_OUTPUT),
            cached=known.get("cache_read_input_tokens"),
            cache_write=known.get("cache_creation_input_tokens"),
        )
