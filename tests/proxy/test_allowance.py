"""Pools share a number of connections: what is idle in one makes room for another."""

from llm_metrics_proxy.proxy.allowance import Allowance


class FakePool:
    """``idle`` connections that may be closed, ``waiting`` owners that may be connected for."""

    def __init__(self, allowance: Allowance, idle: int = 0, waiting: int = 0) -> None:
        self.allowance = allowance
        self.idle, self.waiting = idle, waiting
        self.descriptors = idle
        allowance.join(self)

    def close_idle(self) -> bool:
        had = self.idle > 0
        self.idle -= had
        return had

    def open_for_waiting(self) -> bool:
        if not self.waiting or self.allowance.is_used_up:
            return False
        self.waiting -= 1
        self.allowance.open += 1
        return True


def test_without_a_limit_it_is_never_used_up() -> None:
    allowance = Allowance()
    allowance.open = 1_000_000
    assert not allowance.is_used_up


def test_room_is_made_by_one_idle_connection() -> None:
    allowance = Allowance(2)
    allowance.open = 2
    pools = [FakePool(allowance), FakePool(allowance, idle=1), FakePool(allowance, idle=1)]
    allowance.make_room()
    assert [pool.idle for pool in pools] == [0, 0, 1]
    assert allowance.descriptors == 2


def test_a_free_place_goes_to_whoever_waits() -> None:
    allowance = Allowance(2)
    allowance.open = 2
    pools = [FakePool(allowance), FakePool(allowance, waiting=2)]
    allowance.given_back()
    assert ([pool.waiting for pool in pools], allowance.open) == ([0, 1], 2)
    allowance.limit = 1  # as after a reload
    allowance.given_back()
    assert ([pool.waiting for pool in pools], allowance.open) == ([0, 1], 1)
    allowance.given_back()
    assert ([pool.waiting for pool in pools], allowance.open) == ([0, 0], 1)


def test_a_pool_that_left_is_not_asked() -> None:
    allowance = Allowance(1)
    gone, there = FakePool(allowance, idle=1), FakePool(allowance, idle=1)
    allowance.leave(gone)
    allowance.make_room()
    assert (gone.idle, there.idle) == (1, 0)
