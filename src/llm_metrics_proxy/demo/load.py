"""What the simulated server says of itself at ``/metrics``: in vLLM's words, as one with room for a few requests."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_AT_ONCE: Final = 6  # requests; more wait
_KV_TOKENS: Final = 16_384


class DemoLoad:
    """Requests under way, by model, and tokens since the start."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._prompts: Counter[str] = Counter()
        self._written: Counter[str] = Counter()

    @contextmanager
    def serving(self, model: str, prompt_tokens: int) -> Iterator[None]:
        """One request, from its body to its end."""
        self._open[model] += 1
        self._held[model] += prompt_tokens
        self._prompts[model] += prompt_tokens
        try:
            yield
        finally:
            self._open[model] -= 1
            self._held[model] -= prompt_tokens

    def wrote(self, model: str, tokens: int) -> None:
        """So many tokens of an answer."""
        self._written[model] += tokens

    def page(self) -> bytes:
        """Prometheus' text."""
        room = _AT_ONCE
        lines: list[str] = []
        for model in self._prompts:
            opened = self._open[model]
            running = min(opened, room)
            room -= running
            kept = min(1.0, self._held[model] / _KV_TOKENS)
            label = f'{{engine="0",model_name="{model}"}}'
            lines += [
                f"vllm:num_requests_running{label} {running}.0",
                f"vllm:num_requests_waiting{label} {opened - running}.0",
                f"vllm:kv_cache_usage_perc{label} {kept:.6f}",
                f"vllm:prompt_tokens_total{label} {self._prompts[model]}.0",
                f"vllm:generation_tokens_total{label} {self._written[model]}.0",
            ]
        return ("\n".join(lines) + "\n").encode()
