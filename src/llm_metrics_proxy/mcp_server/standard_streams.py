"""The server on standard input and output: a line is a message.

The library says nothing of lines that it cannot read, and cannot be stopped while it waits for one. Here each gets an
error as JSON-RPC 2.0 has it (section 5.1), and a reader that is gone, or Ctrl-C, ends it at once.
"""

import asyncio
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final

import anyio
import mcp_types as types
from anyio.abc import ObjectReceiveStream
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from llm_metrics_proxy.errors import OutputClosedError, OutputError

_NO_JSON: Final = types.ErrorData(
    code=types.PARSE_ERROR, message="this line is not JSON in UTF-8: send one whole JSON-RPC message in each line"
)
_NO_MESSAGE: Final = types.ErrorData(
    code=types.INVALID_REQUEST, message="this line is no JSON-RPC message: send an object with jsonrpc and method"
)


async def over_stdio(server: Server[Any]) -> None:
    """Until standard input ends. Raises ``OutputError``, ``OutputClosedError`` where nobody reads on."""
    lines = _Lines(open(0, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115 -- closing it would wait
    try:
        async with stdio_server(lines) as (received, sent):
            await server.run(_Messages(received, sent), sent, server.create_initialization_options())
    except BaseExceptionGroup as group:
        raise _of_output(group) from None


class _Messages(ObjectReceiveStream[SessionMessage | Exception]):
    """What is received; what is no message is answered here."""

    def __init__(self, received: ReadStream[SessionMessage | Exception], sent: WriteStream[SessionMessage]) -> None:
        self._received, self._sent = received, sent

    async def receive(self) -> SessionMessage:
        while isinstance(item := await self._received.receive(), Exception):
            if (fault := _fault(item)) is not None:
                await self._sent.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=None, error=fault)))
        return item

    async def aclose(self) -> None:
        await self._received.aclose()


class _Lines(anyio.AsyncFile[str]):
    """Its lines, each read by a thread that nobody waits for when the process is to end."""

    async def readline(self) -> str:
        line: Future[str] = Future()
        line.set_running_or_notify_cancel()
        Thread(target=self._read, args=(line,), daemon=True).start()
        return await asyncio.wrap_future(line)

    def _read(self, line: Future[str]) -> None:
        try:
            line.set_result(self.wrapped.readline())
        except OSError:  # its terminal is gone
            line.set_result("")


def _fault(error: Exception) -> types.ErrorData | None:
    """What to say of a line; nothing of an empty one."""
    first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
    if first is None or first["type"] != "json_invalid":
        return _NO_MESSAGE
    return _NO_JSON if str(first["input"]).strip() else None


def _of_output(group: BaseExceptionGroup[Any]) -> BaseException:
    """The fault of standard output in it, if that is what broke."""
    while isinstance(group.exceptions[0], BaseExceptionGroup):
        group = group.exceptions[0]
    first = group.exceptions[0]
    if isinstance(first, BrokenPipeError):
        return OutputClosedError()
    return OutputError(f"standard output cannot be written: {first.strerror}") if isinstance(first, OSError) else first
