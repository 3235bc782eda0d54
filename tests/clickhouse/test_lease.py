"""One of many holds the lease, at any time, whatever becomes of the others."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from llm_metrics_proxy.engines.clickhouse.alerts import SharedAlerts
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.errors import LeaseLostError
from llm_metrics_proxy.storage.base import AlertDelivery, StoredAlert
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.clickhouse import claimants
from tests.clickhouse.server import ClickHouseServer

_L = 10.0  # lifetime, in the seconds of a clock that a test sets


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claimant(clickhouse_url: str, clock: Clock) -> Iterator[Callable[[], Lease]]:
    address = store_address(clickhouse_url)
    assert address is not None
    with ExitStack() as stack:

        def make() -> Lease:
            lease = Lease(StoreAccess(address), lifetime_s=_L, clock=clock)
            stack.callback(lease.close)
            return lease

        yield make


def test_who_asks_first_holds_it_at_once_and_goes_on_with_heartbeats(
    claimant: Callable[[], Lease], clock: Clock
) -> None:
    one, two = claimant(), claimant()
    one.step()
    two.step()
    assert (one.held(), two.held()) == (True, False)
    for _ in range(6):
        clock.now += _L / 2
        one.step()
        two.step()
        assert (one.held(), two.held()) == (True, False)
    with pytest.raises(LeaseLostError):
        two.check()


def test_a_holder_without_heartbeats_holds_no_longer_and_another_waits_before_it_does(
    claimant: Callable[[], Lease], clock: Clock
) -> None:
    one, two = claimant(), claimant()
    one.step()
    two.step()
    clock.now = _L
    assert not one.held()
    clock.now = 1.2 * _L
    two.step()
    assert two.term() is None
    clock.now = 1.3 * _L
    two.step()
    assert two.term() is not None
    assert not two.held()
    one.step()  # it was stopped, and now learns that there is a newer claim
    assert one.term() is None
    clock.now = 2.0 * _L
    two.step()
    assert not two.held()
    clock.now = 2.6 * _L
    two.step()
    assert two.held()


def test_a_heartbeat_is_refused_once_there_is_a_newer_claim(claimant: Callable[[], Lease], clock: Clock) -> None:
    one, two = claimant(), claimant()
    one.step()
    condition = one.condition()
    two.step()
    clock.now = 1.3 * _L
    two.step()
    term = one.term()
    assert term is not None
    with pytest.raises(Exception, match="another process holds this lease"):
        one._send_beat(term)
    assert not one.held()
    with pytest.raises(Exception, match="another process holds this lease"):
        two._connection.query(f"SELECT 1 WHERE {condition}")


def test_what_is_given_back_is_held_by_the_next_at_once(claimant: Callable[[], Lease]) -> None:
    one, two = claimant(), claimant()
    one.step()
    two.step()
    one.close()
    assert not one.held()
    two.step()
    assert two.held()


def test_who_never_held_gives_nothing_back(claimant: Callable[[], Lease], clock: Clock) -> None:
    one, two, three = claimant(), claimant(), claimant()
    one.step()
    two.step()
    clock.now = 0.99 * _L
    one.step()  # holds until 1.99
    two.step()
    clock.now = 0.995 * _L
    two._claim(two._newest(), waits=True)
    two.close()
    three.step()
    assert one.held()
    assert not three.held()


def test_never_two_at_one_time_and_always_one_again(
    clickhouse: ClickHouseServer, clickhouse_url: str, tmp_path: Path
) -> None:
    found = claimants.run(clickhouse, clickhouse_url, tmp_path, 14, seconds=8.0, least=3)
    assert found.overlaps == []
    assert found.terms >= 3
    assert found.stops + found.kills > 3


def test_alerts_go_on_where_the_last_holder_left_them(claimant: Callable[[], Lease], clickhouse_url: str) -> None:
    address = store_address(clickhouse_url)
    assert address is not None
    one, two = claimant(), claimant()
    first, second = (SharedAlerts(StoreAccess(address), lease) for lease in (one, two))
    one.step()
    two.step()
    first.keep({"a": StoredAlert("firing", 5.0, None)}, {"a/5/firing": ("a", "{}")}, 5.0, set())
    first.keep({"b": StoredAlert("ok", None, None)}, {"a/5/firing": ("a", "{}")}, 6.0, set())
    first.failed(first.deliveries()[0], "no answer")
    assert second.states() == first.states() == {
        "a": StoredAlert("firing", 5.0, None), "b": StoredAlert("ok", None, None)
    }  # fmt: skip
    with pytest.raises(LeaseLostError):
        second.keep({}, {}, 7.0, {"a"})
    one.close()
    two.step()
    (waiting,) = second.deliveries()
    assert waiting == AlertDelivery(1, "a/5/firing", "a", "{}", 5.0, 1, "no answer")
    second.done(waiting)
    second.keep({}, {}, 8.0, {"a"})
    assert (second.deliveries(), set(second.states())) == ([], {"b"})
    first.close()
    second.close()
