"""Listening and stopping."""

import asyncio
import http.client
import socket
import threading

import pytest

from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.demo.server import run, serve
from llm_metrics_proxy.errors import PortInUseError


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port}: Address already in use"):
            run("127.0.0.1", port)


def test_it_serves_an_inherited_socket_and_ends_open_answers_when_stopped() -> None:
    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        stop, answered = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        statuses: list[int] = []

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            body = '{"model":"demo-small","prompt":"x","stream":true}'
            connection.request("POST", "/v1/completions", body, {"x-demo-fault": "stall"})
            with connection.getresponse() as response:
                statuses.append(response.status)
                loop.call_soon_threadsafe(answered.set)
                with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                    response.read()
            connection.close()

        thread = threading.Thread(target=client)
        serving = asyncio.create_task(serve(DemoOptions(listen_fd=listener.detach(), fault_rate=0, speed=50), stop))
        thread.start()
        await asyncio.wait_for(answered.wait(), 5)
        stop.set()
        await asyncio.wait_for(serving, 5)
        await asyncio.to_thread(thread.join, 5)
        assert statuses == [200]

    asyncio.run(main())


def test_an_ipv6_address_is_announced_in_brackets() -> None:
    urls: list[str] = []

    async def main() -> None:
        stop = asyncio.Event()
        stop.set()
        await serve(DemoOptions(host="::1"), stop, announce=urls.append)

    asyncio.run(main())
    assert urls[0].startswith("http://[::1]:")
