"""The demo server as the supervisor's child: options on standard input, its end means stop."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.upstream import FakeUpstream

pytestmark = pytest.mark.system

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[str]] = []

    def start_one(line: str) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "llm_metrics_proxy.demo"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        children.append(child)
        assert child.stdin is not None
        child.stdin.write(line + "\n")
        child.stdin.flush()
        return child

    yield start_one
    for child in children:
        child.kill()
        with child:  # closes the pipes that are still open and waits
            pass


def listening(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_it_serves_and_ends_with_0_when_its_parents_pipe_ends(start: Start) -> None:
    child = start(json.dumps({"host": "127.0.0.1", "port": 0, "seed": 3}))
    connection = http.client.HTTPConnection(urlsplit(listening(child)).netloc, timeout=5)
    connection.request("GET", "/v1/models")
    assert connection.getresponse().status == 200
    connection.close()
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(5) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(start: Start, number: signal.Signals) -> None:
    child = start("{}")
    listening(child)
    child.send_signal(number)
    assert child.wait(5) == 0
    assert child.stderr is not None
    assert child.stderr.read() == ""


def test_its_clients_use_the_proxy_that_it_is_told(start: Start) -> None:
    with FakeUpstream() as proxy:
        start(json.dumps({"traffic_to": proxy.url, "rate_per_s": 50}))
        assert len(proxy.wait_for_requests(5, timeout_s=10)) >= 5


@pytest.mark.parametrize("line", ["", "{", '{"prot": 1}'])
def test_unreadable_options_end_it_with_2_and_one_line(start: Start, line: str) -> None:
    child = start(line)
    _, words = child.communicate(timeout=10)
    assert child.returncode == 2
    assert words.count("\n") == 1
    assert words.startswith("demo: standard input must hold one line of JSON options")
