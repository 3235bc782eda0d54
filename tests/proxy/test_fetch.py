"""Questions of this proxy's own: one GET, whatever the server does with it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from llm_metrics_proxy.proxy.fetch import Fetched, fetch
from llm_metrics_proxy.proxy.pool import Pool
from llm_metrics_proxy.proxy.routing import backends_of
from tests.options import worker_options
from tests.upstream import (
    CHUNKED,
    Close,
    FakeUpstream,
    Reset,
    Script,
    Send,
    Stall,
    Step,
    chunked,
    head,
    in_turn,
    response,
    unused_port,
)  # fmt: skip

REQUEST = b"GET /up HTTP/1.1\r\nHost: h\r\n\r\n"
GOOD = response(b"fine", content_type="text/plain")


def ask(url: str, times: int = 1, *, timeout_s: float = 10.0, limit_bytes: int = 1000, **options: Any) -> list[Fetched]:
    """So many questions over one pool; afterwards no connection may be left in use."""

    async def run() -> list[Fetched]:
        told = worker_options(backend=url, **options)
        pool = Pool(asyncio.get_running_loop(), backends_of(told)[0])
        answers = [await fetch(pool, REQUEST, timeout_s, limit_bytes) for _ in range(times)]
        pool.retire()
        while not pool.is_empty:  # what is closed goes in the loop's next turns
            await asyncio.sleep(0.001)
        return answers

    return asyncio.run(run())


SCRIPTS: list[tuple[Script, tuple[int, bytes, str | None]]] = [
    ([Send(GOOD)], (200, b"fine", None)),
    ([Send(head(103)), Send(GOOD, cut=3)], (200, b"fine", None)),
    ([Send(head(503, CHUNKED) + chunked(b"lo", b"ading"))], (503, b"loading", None)),
    ([Send(head(200) + b"until the end"), Close()], (200, b"until the end", None)),
    ([Send(response(b"x" * 2000)), Stall()], (200, b"x" * 2000, None)),
    ([Send(head(200, CHUNKED) + chunked(b"x" * 2000)[:-5]), Stall()], (0, b"", "too_large")),
    ([Send(response(b"half", length=8)), Reset()], (0, b"", "reset")),
    ([Reset()], (0, b"", "reset")),
    ([Send(b"SSH-2.0\r\n")], (0, b"", "protocol")),
    ([Send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")], (0, b"", "protocol")),
]


@pytest.mark.parametrize(("script", "found"), SCRIPTS)
def test_every_answer_comes_to_a_status_or_an_error(script: Script, found: tuple[int, bytes, str | None]) -> None:
    with FakeUpstream(script) as upstream:
        [answer] = ask(upstream.url)
    assert (answer.status, answer.body, answer.error) == found


def test_a_server_that_is_not_there_is_told_as_in_records() -> None:
    [answer] = ask(f"http://127.0.0.1:{unused_port()}")
    assert answer[:4] == (0, {}, b"", "connect_refused")
    assert "refused the connection" in (answer.message or "")


def test_one_that_says_nothing_is_not_waited_for_and_its_connection_is_dropped() -> None:
    with FakeUpstream([Stall()]) as upstream:
        [answer] = ask(upstream.url, timeout_s=0.2)
        assert answer.error == "timeout"
        assert upstream.connections[0].peer_closed.wait(10)


def test_while_all_connections_are_busy_it_waits_its_time_and_no_longer() -> None:
    with FakeUpstream([Stall()]) as upstream:

        async def run() -> list[Fetched]:
            told = worker_options(backend=upstream.url, upstream_max_connections=1)
            pool = Pool(asyncio.get_running_loop(), backends_of(told)[0])
            return await asyncio.gather(*(fetch(pool, REQUEST, 0.3, 1000) for _ in range(2)))

        assert [answer.error for answer in asyncio.run(run())] == ["timeout", "timeout"]


def test_connections_are_used_again_and_a_stale_one_is_no_failure() -> None:
    scripts: list[list[Step]] = [[Send(GOOD)], [Send(GOOD)], [Reset()], [Send(GOOD)]]
    with FakeUpstream(in_turn(*scripts)) as upstream:
        answers = ask(upstream.url, times=3)
        assert [answer.error for answer in answers] == [None, None, None]
        assert [request.connection for request in upstream.requests] == [0, 0, 0, 1]


def test_it_does_not_ask_for_ever() -> None:
    handler: Callable[..., Script] = in_turn([Send(GOOD)], [Reset()], [Reset()])
    with FakeUpstream(handler) as upstream:
        assert [answer.error for answer in ask(upstream.url, times=2)] == [None, "reset"]
