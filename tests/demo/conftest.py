"""One demo server for these tests: in a thread, fifty times as fast as life, with no faults but those asked for."""

import asyncio
import queue
import threading
from collections.abc import Iterator

import pytest

from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.demo.server import serve


@pytest.fixture(scope="session")
def demo_url() -> Iterator[str]:
    started: queue.SimpleQueue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        options = DemoOptions(seed=7, speed=50, fault_rate=0)
        await serve(options, stop, announce=lambda url: started.put((url, loop, stop)))

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    url, loop, stop = started.get(timeout=10)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    assert not thread.is_alive()
