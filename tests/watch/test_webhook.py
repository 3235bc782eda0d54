"""One attempt at a real receiver."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from llm_metrics_proxy.watch.webhook import RETRY_LONGEST_S, post, retry_after_s
from tests.upstream import unused_port


class Receiver:
    """What came; ``answers`` are statuses, in turn, the last one for ever. 0: it hangs until ``gate`` is set."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers) or [200]
        self.got: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.gate = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                if status == 0:
                    receiver.gate.wait(60)
                    status = 200
                receiver.got.append(json.loads(body))
                receiver.keys.append(self.headers["Idempotency-Key"])
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/secret-path"

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield self
        finally:
            self.gate.set()
            self.server.shutdown()
            self.server.server_close()
            thread.join()


def test_what_is_taken_came_as_it_was_with_its_id() -> None:
    with Receiver(204).running() as receiver:
        assert post(receiver.url, '{"a": 1}', "id-1") is None
        assert (receiver.got, receiver.keys) == ([{"a": 1}], ["id-1"])


@pytest.mark.parametrize("status", [300, 302, 307, 400, 404, 500, 503])
def test_any_other_answer_means_not_taken_and_redirections_are_not_followed(status: int) -> None:
    with Receiver(status).running() as receiver:
        assert post(receiver.url, "{}", "id") == f"it answered with status {status}"
        assert len(receiver.got) == 1


def test_a_receiver_that_is_not_there_is_told_without_its_address() -> None:
    error = post(f"http://127.0.0.1:{unused_port()}/secret-path", "{}", "id")
    assert error == "ConnectionRefusedError: Connection refused"


def test_a_receiver_that_hangs_costs_its_limit_and_no_more() -> None:
    with Receiver(0).running() as receiver:
        error = post(receiver.url, "{}", "id", timeout_s=0.2)
        receiver.gate.set()
    assert error is not None
    assert "TimeoutError" in error
    assert "secret" not in error


def test_pauses_double_and_have_an_end() -> None:
    assert [retry_after_s(failures) for failures in (1, 2, 3)] == [2, 4, 8]
    assert retry_after_s(1000) == RETRY_LONGEST_S
