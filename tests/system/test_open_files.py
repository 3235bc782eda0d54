"""The whole product with few descriptors: everybody is answered, and it says what it lacks."""

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.proxy.client import STREAMED_CHAT, Answer, Client, post
from tests.stack import Stack
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Gate,
    Pause,
    Script,
    Send,
    chunk,
    head,
)  # fmt: skip
from tests.waiting import wait_until

pytestmark = pytest.mark.system

EVENT = Send(chunk(b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'))
END = Send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)


def ask_metrics(stack: Stack, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(urlsplit(stack.metrics_url).netloc, timeout=20)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize(("open_files", "least_served"), [(128, 25), (64, 4)])
def test_streams_beyond_what_may_be_open(tmp_path: Path, open_files: int, least_served: int) -> None:
    gate = Gate()
    script: Script = [Send(head(200, EVENT_STREAM, CHUNKED)), EVENT, gate.wait(), Pause(0.1), END]
    with FakeUpstream(script) as upstream, Stack(upstream.url, tmp_path, open_files=open_files) as stack:
        port = urlsplit(stack.proxy_url).port
        assert port is not None

        def ask(number: int) -> Answer:
            del number
            with Client(port) as client:
                client.send(post(STREAMED_CHAT, host=b"localhost"))
                return client.answer()

        with ThreadPoolExecutor(150) as threads:
            answers = [threads.submit(ask, number) for number in range(150)]
            wait_until(lambda: sum(answer.done() for answer in answers) >= 100)
            gate.open()
            statuses = [answer.result().status for answer in answers]
        assert all(answer.result().whole for answer in answers)
        served = statuses.count(200)
        assert (served >= least_served, statuses.count(503)) == (True, 150 - served)
        assert len(stack.records(served)) == served
        health = json.loads(ask_metrics(stack, "/health")[1])
        assert health["workers"][0]["connections_refused"] == 150 - served
        assert any("turned connections away" in reason for reason in health["reasons"]), health["reasons"]
        scraped = ask_metrics(stack, "/metrics")[1].decode()
        assert f'llm_proxy_connections_refused_total{{worker="0"}} {150 - served}.0' in scraped
    log = stack.log.read_text()
    assert "clients get 503" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("open_files", [128, 64])
def test_readers_of_the_metrics_beyond_what_may_be_open(tmp_path: Path, open_files: int) -> None:
    with FakeUpstream() as upstream, Stack(upstream.url, tmp_path, open_files=open_files) as stack:
        address = urlsplit(stack.metrics_url)
        assert address.port is not None
        (metrics_pid,) = stack.metrics_pids()

        def cpu_s() -> float:
            fields = Path(f"/proc/{metrics_pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / 100

        with ExitStack() as idle:
            live = []
            for number in range(150):
                sock = idle.enter_context(socket.create_connection(("127.0.0.1", address.port), timeout=20))
                if number < 20:
                    sock.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    live.append(sock)
            time.sleep(2)
            answered = [sock.recv(4096) for sock in live]
            statuses = {answer.split(b" ", 2)[1] for answer in answered}
            assert statuses <= {b"200", b"503"}
            assert b"200" in statuses
            before_s = cpu_s()
            time.sleep(2)
            assert cpu_s() - before_s < 1
            files = sum(1 for _ in Path(f"/proc/{metrics_pid}/fd").iterdir())
            assert files < open_files - 10, "what questions need is kept free"
        wait_until(lambda: ask_metrics(stack, "/api/v1/summary")[0] == 200)
        health = json.loads(ask_metrics(stack, "/health")[1])
        assert health["readers_refused"] > 0
        assert any("readers of the metrics" in reason for reason in health["reasons"]), health["reasons"]
        assert "llm_proxy_readers_refused_total" in ask_metrics(stack, "/metrics")[1].decode()
    log = stack.log.read_text()
    assert "readers are served at once" in log
    assert "Traceback" not in log
    assert "unable to open" not in log
