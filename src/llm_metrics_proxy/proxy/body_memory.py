"""One bound for all request bodies that a worker holds, from all clients.

Bytes count as they arrive: what a client announces takes no room. A request beyond the bound is refused at once
and gives back what it had, so nobody waits for room, and two halves of bodies cannot wait for each other. A body counts
until an answer begins or the server has all of it (``Transaction``).
"""

from time import time

from llm_metrics_proxy.scoreboard import Slot


class BodyMemory:
    """Holders change ``held_bytes`` directly, because every request passes here twice."""

    __slots__ = ("_slot", "held_bytes", "limit_bytes")

    def __init__(self, slot: Slot, limit_bytes: int) -> None:
        self._slot = slot
        self.held_bytes = 0
        self.limit_bytes = limit_bytes

    def has_room(self, more_bytes: int) -> bool:
        """Whether that much more fits."""
        return self.held_bytes + more_bytes <= self.limit_bytes

    def refused(self) -> None:
        """A request was turned away because there was no room."""
        self._slot.add("bodies_refused")
        self._slot.set("bodies_refused_unix_ms", int(time() * 1000))

    def publish(self) -> None:
        """Show other processes how much is held."""
        self._slot.set("bodies_bytes", self.held_bytes)
        self._slot.set("bodies_limit_bytes", self.limit_bytes)
