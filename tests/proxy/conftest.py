"""One worker for all tests that need no options of their own, and a stage on which each test puts its LLM server."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream, Handler, Script, unused_port
from tests.waiting import wait_until


class Stage:
    """The shared worker, and the port where it looks for its LLM server."""

    def __init__(self, proxy: ProxyWorker, port: int) -> None:
        self.proxy = proxy
        self.port = port

    def play(self, handler: Handler | Script | None = None, **how: Any) -> FakeUpstream:
        """The LLM server for this test; use it in a ``with`` statement."""
        return FakeUpstream(handler, port=self.port, **how)


@pytest.fixture(scope="session")
def shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    port = unused_port()
    with ProxyWorker(tmp_path_factory.mktemp("proxy"), f"http://127.0.0.1:{port}") as proxy:
        yield Stage(proxy, port)


@pytest.fixture
def stage(shared_worker: Stage) -> Iterator[Stage]:
    """The shared worker with nothing left over from the test before; what this test does is checked for consistency."""
    proxy = shared_worker.proxy
    wait_until(lambda: not proxy.has_connections_to(shared_worker.port))
    proxy.forget()
    yield shared_worker
    proxy.assert_every_request_has_one_record()
