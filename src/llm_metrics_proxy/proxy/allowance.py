"""How many connections to all servers together a worker may have open: its pools share it.

A pool that finds it used up has an idle connection of another one closed, and waits for its place. Every client that is
served has a place (``capacity``), so that what is in the way can only be idle.
"""

from typing import Final

from llm_metrics_proxy.proxy.parties import Sharer

_ENDLESS: Final = 2**31


class Allowance:
    """``open`` connections out of ``limit``."""

    __slots__ = ("_pools", "limit", "open")

    def __init__(self, limit: int = _ENDLESS) -> None:
        self._pools: list[Sharer] = []
        self.limit = limit
        self.open = 0

    def join(self, pool: Sharer) -> None:
        """It shares from now on."""
        self._pools.append(pool)

    def leave(self, pool: Sharer) -> None:
        """It never opens a connection again."""
        self._pools.remove(pool)

    @property
    def is_used_up(self) -> bool:
        """No connection may be opened now."""
        return self.open >= self.limit

    @property
    def descriptors(self) -> int:
        """What the open connections take."""
        return sum(pool.descriptors for pool in self._pools)

    def make_room(self) -> None:
        """Close what has been idle longest in the first pool that has anything idle; its place is given back soon."""
        for pool in self._pools:
            if pool.close_idle():
                return

    def given_back(self) -> None:
        """A place is free: somebody may have waited for it."""
        self.open -= 1
        if not self.is_used_up:
            for pool in self._pools:
                if pool.open_for_waiting():
                    return
