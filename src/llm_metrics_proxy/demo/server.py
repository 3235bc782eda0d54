"""Listening, signals and stopping of the demo server."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from llm_metrics_proxy.demo.app import DemoApp
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.demo.traffic import generate
from llm_metrics_proxy.errors import PortInUseError


class _DemoServer(uvicorn.Server):
    """uvicorn raises a caught signal again when it has stopped; a demo that was asked to stop ends with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    seed: int = 0,
    fd: int | None = None,
    traffic_to: str | None = None,
    rate_per_s: float = 1.0,
    speed: float = 1.0,
    fault_rate: float = 0.03,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then return; see ``DemoOptions`` for the arguments.

    ``announce`` is called with the base URL once the socket listens. Raises ``PortInUseError``.
    """
    options = DemoOptions(
        host=host, port=port, listen_fd=fd, seed=seed, speed=speed,
        fault_rate=fault_rate, traffic_to=traffic_to, rate_per_s=rate_per_s,
    )  # fmt: skip
    asyncio.run(serve(options, asyncio.Event(), announce=announce))


async def serve(options: DemoOptions, stop: asyncio.Event, *, announce: Callable[[str], None] | None = None) -> None:
    """Serve until ``stop`` is set or a signal comes. Open answers are given one second to end."""
    sock = _listen(options)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(RuntimeError, ValueError):  # outside the main thread signals are not ours
            loop.add_signal_handler(number, stop.set)
    # uvicorn logs each answer that a fault left unfinished; here that is intended.
    config = uvicorn.Config(
        DemoApp(options),
        log_config=None,
        log_level=60,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _DemoServer(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    traffic = options.traffic_to and asyncio.create_task(generate(options.traffic_to, options.rate_per_s, options.seed))
    if announce is not None:
        name, port = sock.getsockname()[:2]
        announce(f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}")
    await asyncio.wait((serving, asyncio.ensure_future(stop.wait())), return_when=asyncio.FIRST_COMPLETED)
    if traffic:
        traffic.cancel()
    server.should_exit = True
    await serving


def _listen(options: DemoOptions) -> socket.socket:
    if options.listen_fd is not None:
        return socket.socket(fileno=options.listen_fd)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family, backlog=512)
    except OSError as error:
        raise PortInUseError(f"the demo cannot listen on {options.host}:{options.port}: {error.strerror}") from error
