"""A simulated subscription: windows of five hours and of a week, as Claude's servers say what is used of theirs."""

from typing import Final

SUBSCRIBER: Final = b"Bearer demo-subscription"
_WINDOWS: Final = (("5h", 5 * 3600, 0.34, 40_000_000), ("7d", 7 * 86_400, 0.52, 2_000_000_000))


class Subscription:
    """It was used before this program started: at first a third of the short window, and half of the week."""

    def __init__(self, began_at: float) -> None:
        self._tokens = 0
        self._resets = {name: began_at + length_s * (1 - share) for name, length_s, share, _ in _WINDOWS}

    def used(self, tokens: int, now: float) -> list[tuple[bytes, bytes]]:
        """Count the tokens; the header fields of the answer. ``now`` is Unix seconds."""
        self._tokens += tokens
        fields = [(b"anthropic-ratelimit-unified-status", b"allowed")]
        for name, length_s, share, allowed in _WINDOWS:
            while self._resets[name] <= now:
                self._resets[name] += length_s
            ratio = min(share + self._tokens / allowed, 0.99)
            prefix = f"anthropic-ratelimit-unified-{name}".encode()
            fields += [
                (prefix + b"-utilization", b"%.4f" % ratio),
                (prefix + b"-reset", b"%d" % self._resets[name]),
            ]
        return fields
