"""Token counts as Anthropic reports them: in parts, more than once, each report a total so far.

Source: Anthropic's API reference, "Messages" and "Streaming messages": ``usage`` of ``message_delta`` is cumulative.
``input_tokens`` leaves out what was read from or written to the cache; the whole input is the sum of the three.
"""

from typing import Final

from llm_metrics_proxy.wire.facts import REFUSED, Usage, cut, token_count, usage_of

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
            count = token_count(report.get(name))
            if count == REFUSED:
                self._refused.add(name)
            elif count is not None:
                self._counts[name] = count or self._counts.get(name, 0)
                self._refused.discard(name)

    def usage(self) -> Usage | None:
        """The counts in the names that all dialects share; None without any report."""
        if not self._counts and not self._refused:
            return None
        parts = [self._count(name) for name in _INPUT]
        prompt, cache_write, cached = parts
        if prompt is not None:
            prompt = REFUSED if REFUSED in parts else sum(count or 0 for count in parts)
        return usage_of(prompt=prompt, completion=self._count(_OUTPUT), cached=cached, cache_write=cache_write)

    def _count(self, name: str) -> int | None:
        return REFUSED if name in self._refused else self._counts.get(name)
