"""Readers beyond what may be open are told so, and cost no other reader an answer."""

import asyncio
import errno
import logging
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from llm_metrics_proxy import descriptors
from llm_metrics_proxy.api.capacity import BoundedListener, ReaderCapacity
from llm_metrics_proxy.api.guard import Guard


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> ReaderCapacity:
    """Of a process that may open 100 files and has 20 open."""
    monkeypatch.setattr(descriptors, "limit", lambda: 100)
    monkeypatch.setattr(descriptors, "in_use", lambda: 20)
    return ReaderCapacity()


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def status(
    capacity: ReaderCapacity, path: str, *, one_too_many: bool, method: str = "GET"
) -> tuple[int, dict[bytes, bytes]]:
    """What a connection is told."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    guarded = capacity.guarding(Guard(app, None), lambda: one_too_many)
    scope = {"type": "http", "path": path, "method": method, "headers": [], "query_string": b""}
    asyncio.run(guarded(scope, None, send))  # type: ignore[arg-type]
    assert method != "HEAD" or not any(message.get("body") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"])


def test_what_questions_need_is_left_out(few: ReaderCapacity) -> None:
    assert few.most == 100 - 20 - 40 - 8


def test_one_too_many_is_told_so_but_may_ask_how_things_are(few: ReaderCapacity) -> None:
    assert status(few, "/api/v1/summary", one_too_many=False)[0] == 200
    assert few.turned_away() == (0, False)
    told, headers = status(few, "/api/v1/summary", one_too_many=True)
    assert (told, headers[b"retry-after"], headers[b"connection"]) == (503, b"1", b"close")
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"  # as on every answer
    for path in ("/health", "/ready", "/metrics", "//health"):
        assert status(few, path, one_too_many=True)[0] == 200
    assert few.turned_away() == (1, True)
    assert status(few, "/api/v1/summary", one_too_many=True, method="HEAD")[0] == 503


def test_it_is_logged_once_in_a_while(few: ReaderCapacity, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            few.note()
    assert len(caplog.records) == 1
    assert "32 readers are served at once" in caplog.text
    assert few.turned_away().readers == 50


def test_nobody_is_accepted_while_all_places_are_taken(few: ReaderCapacity) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        BoundedListener.of(listening, few) as listener,
        ExitStack() as opened,
    ):
        listener.setblocking(False)
        for _ in range(few.most + 8 + 1):
            opened.enter_context(socket.create_connection(listening.getsockname()))
        for _ in range(few.most + 8):
            opened.enter_context(listener.accept()[0])
        with pytest.raises(OSError, match="Too many open files") as raised:
            listener.accept()
        assert raised.value.errno == errno.EMFILE
        few.leave_place()
        opened.enter_context(listener.accept()[0])
        few.leave_place()
        for _ in range(3):
            with pytest.raises(BlockingIOError):  # nobody is left, which takes no place
                listener.accept()
        assert few.take_place()
        assert not few.take_place()


def test_other_faults_of_the_loop_stay_what_they_are(few: ReaderCapacity) -> None:
    told: list[Any] = []

    class Loop:
        def default_exception_handler(self, context: Any) -> None:
            told.append(context)

    few.on_loop_fault(Loop(), {"message": "out", "exception": OSError(errno.EMFILE, "x"), "socket": None})
    few.on_loop_fault(Loop(), {"message": "Exception in callback _start_serving()", "exception": ValueError()})
    assert (told, few.turned_away().readers) == ([], 1)
    few.on_loop_fault(Loop(), {"message": "another", "exception": ValueError()})
    few.on_loop_fault(Loop(), {"message": "no socket", "exception": OSError(errno.EMFILE, "x")})
    assert [context["message"] for context in told] == ["another", "no socket"]
