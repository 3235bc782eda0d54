"""Runs the program that knows the box's GPUs; one that hangs is killed, and not started again before it is gone."""

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from llm_metrics_proxy.servers import gpus
from llm_metrics_proxy.servers.gpus import GpuReading

LIMIT_S: Final = 5.0
_GRACE_S: Final = 1.0
_MOST_BYTES: Final = 512 * 1024
_PROGRAMS: Final = ((gpus.NVIDIA, gpus.nvidia_smi), (gpus.ROCM, gpus.rocm_smi))


class _Printed(asyncio.SubprocessProtocol):
    """What a process writes to its standard output, up to a bound, and its end."""

    def __init__(self) -> None:
        self.text = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 -- there is one
        self.text += data
        if len(self.text) > _MOST_BYTES:
            self._end()

    def process_exited(self) -> None:
        self.gone.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- it is gone and its pipe is empty
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class GpuProgram:
    """The first of the programs that is installed. In one event loop."""

    def __init__(self, limit_s: float = LIMIT_S, which: Callable[[str], str | None] = shutil.which) -> None:
        self._limit_s, self._which = limit_s, which
        self._last: _Printed | None = None

    async def read(self) -> list[GpuReading] | None:
        """Every GPU; ``None`` if there is no program, or it failed, or hangs. One that waits for its driver cannot be
        killed, and is left behind: one at most."""
        if self._last is not None and not self._last.gone.is_set():
            return None
        for command, reader in _PROGRAMS:
            path = self._which(command[0])
            if path is not None and (printed := await self._printed([path, *command[1:]])) is not None:
                return reader(printed)
        return None

    async def close(self) -> None:
        """Wait a moment until the last one is gone."""
        if self._last is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await self._last.gone.wait()

    async def _printed(self, command: list[str]) -> bytes | None:
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            transport, printed = await asyncio.get_running_loop().subprocess_exec(
                _Printed, *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environment
            )
        except OSError:
            return None
        self._last = printed
        try:
            async with asyncio.timeout(self._limit_s):
                await printed.ended
        except TimeoutError:
            return None
        finally:
            transport.close()  # which kills it, if it still runs
            await self.close()
        well = len(printed.text) <= _MOST_BYTES and transport.get_returncode() == 0
        return bytes(printed.text) if well else None
