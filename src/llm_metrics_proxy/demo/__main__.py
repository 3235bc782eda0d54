"""``python -m llm_metrics_proxy.demo``: a child of the supervisor.

Standard input carries one line of JSON (``DemoOptions``) and then nothing; its end, which the kernel also brings when
the parent dies, means stop. The exit status is 0 when asked to stop, 2 when the line cannot be read.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading

import msgspec

from llm_metrics_proxy import logs
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.demo.server import serve
from llm_metrics_proxy.errors import LlmMetricsProxyError

log = logging.getLogger(__name__)


async def _serve_until_eof(options: DemoOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        # Not through sys.stdin: a daemon thread that holds its buffer's lock aborts the interpreter's shutdown.
        while os.read(0, 4096):
            pass
        with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime: already stopping
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()
    await serve(options, stop, announce=lambda url: print(url, flush=True))  # noqa: T201 -- for who started it


def main() -> int:
    """Read the options, serve, and return the exit status."""
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=DemoOptions)
    except msgspec.MsgspecError as error:
        print(f"demo: standard input must hold one line of JSON options: {error}", file=sys.stderr)  # noqa: T201
        return 2
    logs.setup(options.log_level, options.log_format, "demo")
    try:
        asyncio.run(_serve_until_eof(options))
    except LlmMetricsProxyError as error:
        log.error("%s", error)  # noqa: TRY400 -- one line for people
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
