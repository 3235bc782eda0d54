"""The simulated clients send what real ones send, and put up with a proxy that is not there."""

import asyncio
import json
from collections import Counter
from random import Random

import pytest

from llm_metrics_proxy.demo.traffic import PERSONAS, Request, ask, draw, generate
from llm_metrics_proxy.doors import OriginRule, PageAccess
from tests.upstream import FakeUpstream, Stall, unused_port


def test_requests_are_of_many_kinds() -> None:
    random = Random(4)
    drawn = [draw(random) for _ in range(2000)]
    bodies = [json.loads(request.body) for request in drawn]
    assert {body["model"] for body in bodies} == {
        "demo-small", "demo-large", "demo-reasoning", "demo-embedding", "demo-unknown",
    }  # fmt: skip
    assert len({request.fields.get("origin") or request.fields.get("x-llm-metrics-origin") for request in drawn}) == 4
    assert 0.6 < sum(bool(body.get("stream")) for body in bodies) / 2000 < 0.9
    assert {body["user"] for body in bodies} >= {"demo-user-1", "demo-user-12"}
    assert sum(request.leaves_after_s is not None for request in drawn) > 20
    assert max(len(request.body) for request in drawn) > 250_000  # longer than every context
    assert any("tools" in body for body in bodies)
    assert any(body.get("n") == 3 for body in bodies)


def test_no_client_is_a_page_that_the_proxy_would_refuse() -> None:
    pages = [origin for persona in PERSONAS if (origin := persona.fields.get("origin"))]
    assert pages
    assert all(OriginRule(()).access(page) is not PageAccess.NONE for page in pages)


def test_the_same_seed_asks_the_same() -> None:
    assert [draw(Random(9)) for _ in range(3)] == [draw(Random(9)) for _ in range(3)]


def test_one_request_is_answered(demo_url: str) -> None:
    port = int(demo_url.rpartition(":")[2])
    request = Request("/v1/completions", {}, b'{"model":"demo-small","prompt":"x","max_tokens":2}', None)
    assert asyncio.run(ask("127.0.0.1", port, request)) > 100


def test_a_client_that_gives_up_leaves_at_once() -> None:
    with FakeUpstream([Stall()]) as upstream:
        asyncio.run(ask("127.0.0.1", upstream.port, Request("/", {}, b"{}", leaves_after_s=0.05)))
        assert upstream.connections[0].peer_closed.wait(10)


def test_clients_keep_coming_at_their_rate_and_end_when_told() -> None:
    async def for_a_second(url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await generate(url, 60, seed=2)

    with FakeUpstream() as upstream:
        asyncio.run(for_a_second(upstream.url))
        paths = Counter(request.target for request in upstream.requests)
        assert 30 < sum(paths.values()) < 100
        assert paths["/v1/chat/completions"] > 20
        assert all(request.header("authorization") for request in upstream.requests)


def test_nobody_home_is_no_failure() -> None:
    async def briefly() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await generate(f"http://127.0.0.1:{unused_port()}", 100, seed=2)

    asyncio.run(briefly())
