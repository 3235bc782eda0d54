"""OpenAI's client over WebSockets, and servers of the ``websockets`` library: Responses and Realtime, also compressed.

Each conversation is held with the server alone and through the proxy: both must see the same.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.websocket_connection_options import SyncWebSocketConnectionOptions
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.sync.server import Server, ServerConnection, serve

from llm_metrics_proxy.record import RequestRecord
from tests.proxy.client import post
from tests.proxy.conftest import Stage
from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream, unused_port
from tests.waiting import wait_until
from tests.wire.apis.test_openai_realtime import IN_TOKENS, USAGE
from tests.wire.streams import OUTPUT, RESPONSE, RESPONSE_USAGE

pytestmark = pytest.mark.system

LOST = {
    "type": "invalid_request_error",
    "code": "previous_response_not_found",
    "message": "Previous response not found.",
}


class LlmServer:
    """Answers as OpenAI's guides say; what it was sent is kept."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.extensions: list[str] = []
        self._numbers = itertools.count(1)

    def __call__(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.response is not None
        self.extensions.append(connection.response.headers.get("Sec-WebSocket-Extensions", ""))
        path = connection.request.path
        if path.startswith("/v1/realtime"):
            tell(connection, "session.created", session={"model": "gpt-realtime", "type": "realtime"})
        for message in connection:
            asked = json.loads(message)
            self.received.append(asked)
            if path.startswith("/v1/responses"):
                self._respond(connection, asked)
            elif asked["type"] == "response.create":
                self._speak(connection)

    def _respond(self, connection: ServerConnection, asked: dict[str, Any]) -> None:
        if asked.get("previous_response_id") == "resp_gone":
            connection.send(json.dumps({"type": "error", "status": 400, "error": LOST}))
            return
        answer = {**RESPONSE, "id": f"resp_{next(self._numbers)}"}
        tell(connection, "response.created", response=answer)
        if asked.get("generate") is not False:
            time.sleep(0.05)
            tell(connection, "response.reasoning_summary_text.delta", delta="Hm")
            for word in ("Hi", " there", "!"):
                time.sleep(0.01)
                tell(connection, "response.output_text.delta", delta=word)
        if asked["input"] == "leave":
            connection.close_socket()
            return
        output = [] if asked.get("generate") is False else OUTPUT
        done = {**answer, "status": "completed", "usage": RESPONSE_USAGE, "output": output}
        tell(connection, "response.completed", response=done)

    def _speak(self, connection: ServerConnection) -> None:
        tell(connection, "conversation.item.input_audio_transcription.completed", transcript="Hi", usage=IN_TOKENS)
        tell(connection, "response.output_audio.delta", delta="A" * 5000)
        tell(connection, "response.done", response={"id": "r", "status": "completed", "output": [], "usage": USAGE})


def tell(connection: ServerConnection, kind: str, **members: Any) -> None:
    connection.send(json.dumps({"type": kind, "sequence_number": 1, **members}))


@contextmanager
def playing(stage: Stage, **how: Any) -> Iterator[LlmServer]:
    """A server in the place where the proxy looks for one."""
    llm = LlmServer()
    server: Server = serve(llm, "127.0.0.1", stage.port, **how)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield llm
    finally:
        server.shutdown()
        thread.join()


def client(port: int) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k", max_retries=0)


Talk = Callable[[int, SyncWebSocketConnectionOptions], list[Any]]


def two_turns(port: int, options: SyncWebSocketConnectionOptions) -> list[Any]:
    """Warm up, ask twice."""
    seen: list[Any] = []
    with client(port).responses.connect(max_retries=0, websocket_connection_options=options) as connection:
        turns: list[dict[str, Any]] = [{"generate": False}, {}, {"previous_response_id": "resp_2"}]
        for number, more in enumerate(turns):
            if number:
                time.sleep(0.2)  # to think
            asked: Any = {"type": "response.create", "model": "gpt-x", "input": "why? " * 9000, "tools": [], **more}
            connection.send(asked)
            for event in connection:
                seen.append(event.type)
                if event.type == "response.completed":
                    break
    return seen


def told_for(stage: Stage, talk: Talk, options: SyncWebSocketConnectionOptions, **how: Any) -> RequestRecord:
    """The record of a conversation that the proxy was in; the same was seen without it."""
    with playing(stage, **how) as alone:
        expected = talk(stage.port, options)
    with playing(stage, **how) as llm:
        assert talk(stage.proxy.port, options) == expected
        record = stage.proxy.record()
    assert llm.received == alone.received
    assert llm.extensions == alone.extensions
    return record


NO_TAKEOVER = {
    "server_no_context_takeover": True, "client_no_context_takeover": True,
}  # fmt: skip
SMALL_WINDOWS = {"server_max_window_bits": 9, "client_max_window_bits": 10}


@pytest.mark.parametrize(
    "agreed", [None, {}, NO_TAKEOVER, SMALL_WINDOWS, {"server_no_context_takeover": True}], ids=str
)
def test_a_session_of_responses_is_read_however_it_is_compressed(stage: Stage, agreed: dict[str, Any] | None) -> None:
    offers = [] if agreed is None else [ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **agreed})]
    takes = [] if agreed is None else [ServerPerMessageDeflateFactory(**agreed)]
    record = told_for(stage, two_turns, {"extensions": offers, "compression": None}, extensions=takes, compression=None)
    assert (record.dialect, record.model, record.response_model) == ("openai_responses_websocket", "gpt-x", "gpt-x")
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (3 * 37, 3 * 11, 3 * 16)
    assert (record.outcome, record.status_code, record.is_streaming) == ("completed", 101, True)
    assert (record.content_chunks, record.tool_call_count, record.tool_count) == (8, 2, 0)
    assert (record.finish_reason, record.response_id) == ("completed", "resp_3")
    assert record.time_to_first_token_ms is not None
    assert record.time_to_last_token_ms is not None
    assert record.response_time_ms is not None
    awake_ms = record.response_time_ms - 400  # without the client's two pauses
    assert 0 < record.time_to_first_token_ms < record.time_to_last_token_ms <= awake_ms
    if agreed is not None:
        assert record.request_bytes < 27_000  # of 135 kB


def one_lost(port: int, options: SyncWebSocketConnectionOptions) -> list[Any]:
    with client(port).responses.connect(max_retries=0, websocket_connection_options=options) as connection:
        connection.send(
            {"type": "response.create", "model": "gpt-x", "input": "x", "previous_response_id": "resp_gone"}
        )
        return [connection.recv().type]


def test_an_error_is_the_servers_whoever_ends_the_session(stage: Stage) -> None:
    record = told_for(stage, one_lost, {})
    assert (record.outcome, record.upstream_error_code) == ("stream_error", "previous_response_not_found")
    assert (record.error_message, record.model) == ("Previous response not found.", "gpt-x")


def left_by_the_server(port: int, options: SyncWebSocketConnectionOptions) -> list[Any]:
    seen: list[Any] = []
    with client(port).responses.connect(max_retries=0, websocket_connection_options=options) as connection:
        connection.send({"type": "response.create", "model": "gpt-x", "input": "leave"})
        try:
            seen += [event.type for event in connection]
        except Exception as error:  # noqa: BLE001 -- which one is the client's own affair
            seen.append(type(error).__name__)
    return seen


def test_a_response_that_the_server_left_is_truncated(stage: Stage) -> None:
    record = told_for(stage, left_by_the_server, {})
    assert (record.outcome, record.content_chunks) == ("stream_truncated", 4)


def left_by_the_client(port: int, options: SyncWebSocketConnectionOptions) -> list[Any]:
    with client(port).responses.connect(max_retries=0, websocket_connection_options=options) as connection:
        connection.send({"type": "response.create", "model": "gpt-x", "input": "x"})
        return [connection.recv().type, connection.recv().type]


def test_a_response_that_the_client_left_was_disconnected(stage: Stage) -> None:
    record = told_for(stage, left_by_the_client, {})
    assert (record.outcome, record.error_type) == ("client_disconnected", "disconnect_mid_stream")
    assert record.content_chunks in range(1, 5)


def test_a_session_without_a_request_is_complete(stage: Stage) -> None:
    def hello(port: int, options: SyncWebSocketConnectionOptions) -> list[Any]:
        with client(port).responses.connect(max_retries=0, websocket_connection_options=options):
            return []

    record = told_for(stage, hello, {})
    assert (record.outcome, record.total_tokens, record.model) == ("completed", None, None)


def long_turn(port: int) -> None:
    """With a request that comes in many reads."""
    with client(port).responses.connect(max_retries=0) as connection:
        connection.send({"type": "response.create", "model": "gpt-x", "input": "x" * 2_000_000})
        assert "response.completed" in [connection.recv().type for _ in range(6)]


@pytest.mark.parametrize(("room_bytes", "model"), [(4_000_000, "gpt-x"), (200_000, None)])
def test_a_request_that_there_is_no_room_for_passes_unread(tmp_path: Path, room_bytes: int, model: str | None) -> None:
    port = unused_port()
    with ProxyWorker(tmp_path, f"http://127.0.0.1:{port}", max_buffered_bytes=room_bytes) as proxy:
        with playing(Stage(proxy, port), max_size=None) as llm:
            long_turn(proxy.port)
            record = proxy.record()
        assert len(llm.received[0]["input"]) == 2_000_000
        assert (record.model, record.response_model, record.total_tokens) == (model, "gpt-x", 48)
        proxy.forget()
        with FakeUpstream(port=port), proxy.connect() as one:
            one.send(post(b'{"model":"fake-1","messages":[],"x":"' + b"x" * (room_bytes - 1000) + b'"}'))
            assert one.answer().status == 200  # nothing is held any more


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_realtime_session_counts_responses_and_transcriptions(stage: Stage, compression: str | None) -> None:
    async def talk(port: int) -> list[str]:
        seen: list[str] = []
        one = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k")
        options: Any = {"compression": compression}
        async with one.realtime.connect(model="gpt-realtime", websocket_connection_options=options) as connection:
            await connection.response.create()
            async for event in connection:
                seen.append(event.type)
                if event.type == "response.done":
                    return seen
        return seen

    record = told_for(stage, lambda port, _: list(asyncio.run(talk(port))), {}, compression=compression)
    assert (record.dialect, record.model, record.response_model) == ("openai_realtime", "gpt-realtime", "gpt-realtime")
    assert (record.prompt_tokens, record.completion_tokens, record.total_tokens) == (146, 126, 272)
    assert record.outcome == "completed"


def test_what_passes_is_untouched_when_it_cannot_be_read(stage: Stage) -> None:
    """A compressed message that is damaged: the client is told by its own library, and the record is left."""

    def damaged(connection: ServerConnection) -> None:
        connection.recv()
        connection.socket.sendall(bytes((0xC1, 2)) + b"\xff\xff")
        wait_until(lambda: connection.protocol.state.name != "OPEN")

    server = serve(damaged, "127.0.0.1", stage.port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        options: SyncWebSocketConnectionOptions = {"compression": "deflate"}
        with client(stage.proxy.port).responses.connect(max_retries=0, websocket_connection_options=options) as one:
            one.send({"type": "response.create", "model": "gpt-x", "input": "x"})
            with pytest.raises(Exception, match=r"invalid|1007|close"):
                one.recv()
        record = stage.proxy.record()
    finally:
        server.shutdown()
        thread.join()
    assert (record.model, record.total_tokens, record.websocket_frames_sent is not None) == ("gpt-x", None, True)
