"""A real API on a socket, and servers that misbehave, for the tests of what asks them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from starlette.types import ASGIApp

from llm_metrics_proxy.api.server import serve


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of the application, on loopback."""
    sock = socket.create_server(("127.0.0.1", 0))
    url, stop = f"http://127.0.0.1:{sock.getsockname()[1]}", threading.Event()
    thread = threading.Thread(target=serve, args=(app, sock, stop), name="api")
    thread.start()
    try:
        yield url
    finally:
        stop.set()
        thread.join()


Answered = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answer: Callable[[int, str], Answered | None]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers request number n (from 0) to a path as told; ``None``: it hangs up. With what it got."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = len(got)
            got.append({"path": self.path, **dict(self.headers)})
            told = answer(number, self.path)
            if told is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, headers, body = told
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unused_url() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"http://127.0.0.1:{sock.getsockname()[1]}"
