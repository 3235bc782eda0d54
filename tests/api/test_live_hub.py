import asyncio
from collections.abc import Awaitable, Callable

import pytest

from llm_metrics_proxy.analytics.arrivals import Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.live import Sums
from llm_metrics_proxy.api import live_hub
from llm_metrics_proxy.api.live_hub import Hub, LiveListener
from tests.analytics.database import Database, a_record
from tests.api.service import ports

ALL = RequestFilter()
Scene = Callable[[Hub], Awaitable[None]]


def play(database: Database, scene: Scene) -> None:
    async def all_of_it() -> None:
        await asyncio.wait_for(scene(Hub(ports(database))), 60)

    asyncio.run(all_of_it())


def listener(aborted: list[bool]) -> LiveListener:
    return LiveListener(ALL, "now", lambda: aborted.append(True))


def test_chunks_wait_in_order_and_are_taken_at_once() -> None:
    async def scene() -> None:
        one = listener([])
        one.put(b"a")
        one.put(b"b")
        assert await one.take(10) == b"ab"
        assert await one.take(0.001) == b""
        one.put(b"c")
        one.end()
        assert await one.take(10) == b"c"
        assert await one.take(10) == b""  # at once: it is over
        assert not one.dropped

    asyncio.run(scene())


def test_more_than_may_wait_is_thrown_away_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hub, "MAX_WAITING_BYTES", 10)
    aborted: list[bool] = []

    async def scene() -> None:
        one = listener(aborted)
        one.put(b"123456789")
        assert aborted == []
        one.put(b"01")
        assert (aborted, one.over, one.dropped) == ([True], True, True)
        assert await one.take(10) == b""

    asyncio.run(scene())


def test_totals_are_told_when_records_came_or_now_and_then_the_open_requests_changed() -> None:
    async def told(one: LiveListener, new: Sums, open_requests: int, now_s: float) -> bool:
        one.count(new, open_requests, now_s)
        return bool(await one.take(0.001))

    async def scene() -> None:
        one = listener([])
        assert await told(one, Sums(), 0, 100.0)
        assert not await told(one, Sums(), 0, 105.0)
        assert await told(one, Sums(), 1, 106.0)
        assert not await told(one, Sums(), 2, 106.5)
        assert await told(one, Sums(requests=1), 2, 106.6)

    asyncio.run(scene())


def test_places_are_given_and_given_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hub, "MAX_LISTENERS", 1)
    hub = Hub(ports(database))
    assert [hub.reserve(), hub.reserve()] == [True, False]
    hub.give_back()
    assert hub.reserve()


def test_nothing_is_asked_of_the_database_when_nobody_listens(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "TICK_S", 0.001)

    async def scene(hub: Hub) -> None:
        one = await hub.join(ALL, None, 0, lambda: None)
        other = await hub.join(RequestFilter(model="a"), None, 0, lambda: None)
        hub.leave(one)
        hub.leave(other)
        hub.leave(other)
        pump = hub._pump
        assert pump is not None
        await pump
        one = await hub.join(ALL, None, 0, lambda: None)  # and somebody who comes later is told again
        await one.take(10)
        database.add(a_record())
        assert b"event: record" in await one.take(60)
        hub.leave(one)

    play(database, scene)


def test_records_that_arrive_while_somebody_joins_are_neither_lost_nor_sent_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "TICK_S", 0.001)

    async def scene(hub: Hub) -> None:
        first = await hub.join(ALL, None, 0, lambda: None)
        for turn in range(30):
            database.add(a_record(turn))
            late = await hub.join(ALL, Arrivals(), 0, lambda: None)
            database.add(a_record(turn))
            wanted = 2 * turn + 2
            text = b""
            while f"id: {wanted}\nevent: record".encode() not in text:
                text += await late.take(60)
            ids = [int(part.split(b"\n")[0]) for part in text.split(b"\nid: ") if b"event: record" in part[:40]]
            assert [one for one in ids if one] == list(range(1, wanted + 1))
            hub.leave(late)
            await first.take(0.001)

    play(database, scene)
