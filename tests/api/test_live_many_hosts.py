"""The live stream of several hosts: whoever comes back, from any event, misses nothing and gets nothing twice."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.api import live_events, live_hub
from llm_metrics_proxy.api.live_hub import Hub
from tests.analytics.database import Database, a_record
from tests.api.many_hosts import ManyHosts
from tests.api.service import ports

ALL = RequestFilter()
EVENT = re.compile(rb"id: (.*)\nevent: record\ndata: (.*)\n")
Hosts = dict[str, Database]
Name = tuple[str, int]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = {}
    for name in ("a", "b, =", "ü"):
        (tmp_path / name).mkdir()
        made[name] = Database(tmp_path / name)
        made[name].open_as(name)
    yield made
    for one in made.values():
        one.close()


def events_in(text: bytes) -> list[tuple[str, Name]]:
    found = [(event_id.decode(), msgspec.json.decode(data)) for event_id, data in EVENT.findall(text)]
    return [(event_id, (record["host"], record["arrival"])) for event_id, record in found]


def play(hosts: Hosts, scene: Callable[[Hub], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        changes: Any = {"records": ManyHosts(hosts)}
        await asyncio.wait_for(scene(Hub(ports(hosts["a"], **changes))), 60)

    asyncio.run(all_of_it())


async def take(hub: Hub, seen: str, wanted: int) -> list[tuple[str, Name]]:
    listener = await hub.join(ALL, Arrivals.parsed(seen), 0, lambda: None)
    found: list[tuple[str, Name]] = []
    while len(found) < wanted:
        chunk = await listener.take(10)
        assert chunk
        found += events_in(chunk)
    hub.leave(listener)
    return found


def test_a_stream_goes_on_after_any_event(hosts: Hosts) -> None:
    for turn in range(4):
        for place, one in enumerate(hosts.values()):
            one.add(*(a_record(10 * turn + place + number) for number in range(place + 1)))
    every = {(host, number) for place, host in enumerate(hosts) for number in range(1, 4 * (place + 1) + 1)}

    async def scene(hub: Hub) -> None:
        whole = await take(hub, "0", len(every))
        assert {name for _, name in whole} == every
        for place, (event_id, _) in enumerate(whole[:-1]):
            rest = await take(hub, event_id, len(every) - place - 1)
            assert [name for _, name in rest] == [name for _, name in whole[place + 1 :]]

    play(hosts, scene)


def test_events_of_one_host_are_in_the_order_of_arrival_and_all_in_that_of_time(hosts: Hosts) -> None:
    for number in range(3):
        for place, one in enumerate(hosts.values()):
            one.add(a_record(10 * number + place))

    async def scene(hub: Hub) -> None:
        found = [name for _, name in await take(hub, "0", 9)]
        assert found == [(host, number) for number in (1, 2, 3) for host in hosts]

    play(hosts, scene)


def test_what_is_left_out_is_told_and_the_stream_goes_on_behind_it(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "MAX_REPLAY", 2)
    for one in hosts.values():
        one.add(*(a_record(number) for number in range(3)))

    async def scene(hub: Hub) -> None:
        listener = await hub.join(ALL, Arrivals(), 0, lambda: None)
        text = await listener.take(10)
        (skipped,) = re.findall(rb"event: skipped\ndata: (.*)\n", text)
        told = msgspec.json.decode(skipped, type=live_events.LiveSkipped)
        assert (told.records, told.arrived) == (7, 7)
        shown = events_in(text)
        assert len(shown) == 2
        assert Arrivals.parsed(told.through) is not None
        last = Arrivals.parsed(shown[-1][0])
        assert last == Arrivals(dict.fromkeys(hosts, 3))
        hub.leave(listener)

    play(hosts, scene)


def test_a_host_that_was_never_seen_is_new(hosts: Hosts) -> None:
    hosts["a"].add(a_record())

    async def scene(hub: Hub) -> None:
        listener = await hub.join(ALL, Arrivals({"a": 1}), 0, lambda: None)
        await listener.take(10)
        hosts["ü"].add(a_record())
        text = b""
        while not (found := events_in(text)):
            text += await listener.take(10)
        assert [name for _, name in found] == [("ü", 1)]
        assert Arrivals.parsed(found[0][0]) == Arrivals({"a": 1, "ü": 1})
        hub.leave(listener)

    play(hosts, scene)


def test_an_engine_of_one_host_has_one_number_whatever_its_records_name() -> None:
    items = [{"host": host, "arrival": number, "timestamp": None} for number, host in ((5, "b"), (6, None), (7, "a"))]
    within = ArrivalRange(Arrivals.of_one_host(0), Arrivals.of_one_host(7))
    assert [event_id for event_id, _ in events_in(live_events.found(items, within, 0))] == ["5", "6", "7"]
