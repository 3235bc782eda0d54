"""`llm-metrics-proxy mcp` as a process: lines that are no messages, and how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

COMMAND: Final = [sys.executable, "-m", "llm_metrics_proxy", "mcp", "--url", "http://127.0.0.1:1"]
PING: Final = b'{"jsonrpc":"2.0","id":2,"method":"ping"}\n'
LIMIT_S: Final = 60
pytestmark = pytest.mark.system


@contextmanager
def running(**streams: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The verb, which is not told that its input ends."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(COMMAND, **pipes | streams) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: "subprocess.Popen[bytes]", *lines: bytes) -> dict[str, Any]:
    """The first answer after these lines."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.writelines(lines)
    process.stdin.flush()
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_a_line_that_is_no_message_gets_an_error_and_the_next_its_answer() -> None:
    with running() as process:
        said(
            process,
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
            b'"capabilities":{},"clientInfo":{"name":"a","version":"1"}}}\n',
        )
        assert said(process, b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n', b"\n", PING)["id"] == 2
        for line, code in {
            b"{nope": -32700,
            b"\xff\xfe": -32700,
            b"[" * 100_000: -32700,
            b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}': -32700,
            b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"\\udc00"}}': -32700,
            b'{"a":1}': -32600,
            b"[]": -32600,
            b'{"jsonrpc":"2.0","id":5,"method":7}': -32600,
        }.items():
            told = said(process, line + b"\n")
            assert (told["jsonrpc"], told["id"], told["error"]["code"]) == ("2.0", None, code), line[:80]
            assert said(process, PING) == {"jsonrpc": "2.0", "id": 2, "result": {}}


def test_it_ends_without_a_word_when_nobody_reads_on() -> None:
    with running() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"{nope\n")
        process.stdin.flush()
        assert (process.wait(LIMIT_S), process.stderr.read()) == (-signal.SIGPIPE, b"")


def test_it_says_why_it_cannot_write() -> None:
    with Path("/dev/full").open("wb") as full, running(stdout=full) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"{nope\n")
        process.stdin.flush()
        assert process.wait(LIMIT_S) == 1
        told = process.stderr.read().decode()
        assert told == "llm-metrics-proxy: standard output cannot be written: No space left on device\n"


def test_ctrl_c_ends_it_although_its_input_does_not_end() -> None:
    with running() as process:
        said(process, b"{nope\n")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert (process.wait(LIMIT_S), process.stderr.read()) == (130, b"")
