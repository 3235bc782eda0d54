"""The listening side of the fake server, and handlers for ordinary days."""

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import Self

from tests.upstream.certificate import Certificate
from tests.upstream.conversation import Connection, Conversation, Gone, Handler, Request
from tests.upstream.replies import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    chat_completion,
    chat_events,
    chunk,
    head,
    json_response,
)  # fmt: skip
from tests.upstream.steps import Pause, Script, Send, Step
from tests.waiting import PATIENCE_S

_ANY = random.SystemRandom()  # of its own: tests seed the other one


class FakeUpstream:
    """The server; see the top of this file. ``url``, ``requests`` and ``connections`` are what tests look at."""

    def __init__(
        self,
        handler: Handler | Script | None = None,
        *,
        early: bool = False,
        on_connect: Script = (),
        tls: "Certificate | None" = None,
        port: int = 0,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        handler = openai_handler if handler is None else handler
        self.handler: Handler = handler if callable(handler) else lambda _: handler
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self.stopping = threading.Event()
        self._early = early
        self._on_connect = on_connect
        self._tls = tls
        self._failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        if receive_buffer_bytes is not None:  # inherited by accepted sockets; the kernel doubles it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.stop()
        if self._failures and kind is None:
            raise self._failures[0]

    def stop(self) -> None:
        """Close the listener and every connection; new ones are refused."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:  # the accepting thread is the first; once it has ended, the list grows no more
            thread.join(5)

    def wait_for_requests(self, count: int, timeout_s: float = PATIENCE_S) -> list[Request]:
        """The requests, once there are ``count`` of them."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, timeout_s), (
                f"{len(self.requests)} of {count} requests came within {timeout_s} s"
            )
            return list(self.requests)

    def add_request(self, request: Request) -> None:
        """Called by a conversation when a request (with ``early``: its head) is in."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(len(self.connections))
            self.connections.append(connection)
            thread = threading.Thread(target=self._converse, args=(sock, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, sock: socket.socket, connection: Connection) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock.settimeout(PATIENCE_S)
                sock = self._tls.server_context().wrap_socket(sock, server_side=True)
            conversation = Conversation(self, sock, connection)
            conversation.run(self._on_connect, self.handler, self._early)
        except (Gone, ConnectionError, ssl.SSLError, TimeoutError):
            pass  # how a conversation ends is the test's business: it looks at `connections`
        except BaseException as failure:  # noqa: BLE001 -- raised again in the test's own thread, by __exit__
            self._failures.append(failure)
        finally:
            sock.close()
            connection.ended.set()


def in_turn(*scripts: Script) -> Handler:
    """One script per request, in order; one more request than scripts is a failure of the test."""
    left: Iterator[Script] = iter(scripts)
    lock = threading.Lock()

    def handler(request: Request) -> Script:
        with lock:
            script = next(left, None)
        assert script is not None, f"unexpected request {request.method} {request.target}"
        return script

    return handler


def stream_script(events: Iterable[bytes], *, gap_s: float = 0.0, cut: int | None = None) -> Script:
    """A chunked event stream, one chunk per event, with ``gap_s`` after each one."""
    steps: list[Step] = [Send(head(200, EVENT_STREAM, CHUNKED))]
    for event in events:
        steps.append(Send(chunk(event), cut=cut))
        if gap_s:
            steps.append(Pause(gap_s))
    return [*steps, Send(LAST_CHUNK)]


def openai_handler(request: Request) -> Script:
    """A small, well-behaved OpenAI server: chat completions, streamed or not, for any model."""
    if request.method == "GET":
        return [Send(json_response({"object": "list", "data": [{"id": "fake-1", "object": "model"}]}))]
    asked = request.json()
    model = asked.get("model", "fake-1")
    if not asked.get("stream"):
        return [Send(json_response(chat_completion(model=model, n=asked.get("n") or 1)))]
    include_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    return stream_script(chat_events(model=model, include_usage=include_usage))


def unused_port() -> int:
    """A loopback port where nobody listens, so that connecting is refused.

    It is none that the kernel gives to clients by itself, and as long as this process lives it is given to no other
    test, also of other processes: the UDP port of its number, which nobody uses, stands for it.
    """
    while True:
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = ("127.0.0.1", _ANY.randrange(20_000, 32_000))
        try:
            claim.bind(address)
            socket.create_server(address).close()
        except OSError:
            claim.close()
        else:
            claim.detach()
            return address[1]


@contextlib.contextmanager
def unanswered_port() -> Iterator[int]:
    """A loopback port where connecting neither succeeds nor fails: its queue is full and nobody accepts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # Linux queues backlog + 1, and leaves further SYNs unanswered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
