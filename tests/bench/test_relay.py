"""The floors forward each byte, however it is cut; the one that records keeps the journal's promise."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.peers import recording_relay, relay
from bench.streamer import KINDS

from bench import payload
from tests.upstream import CHUNKED, EVENT_STREAM, Close, FakeUpstream, Request, Script, Send, chunked, head, response

ANSWER = response(payload.COMPLETION.encode())
EVENTS = head(200, EVENT_STREAM, CHUNKED) + chunked(*KINDS["short"].events)


async def exchange(factory: Callable[[], asyncio.Protocol], requests: list[bytes], end: bytes) -> bytes:
    """Requests one after the other on one connection, each when the answer before it has come to its ``end``."""
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        seen = b""
        for request in requests:
            for at in range(0, len(request), 100):
                writer.write(request[at : at + 100])
                await asyncio.sleep(0)
            seen += await reader.readuntil(end)
        writer.close()
        return seen


def requests_to(port: int, count: int, *, stream: bool = False) -> list[bytes]:
    return [payload.raw(port, payload.body(stream=stream))] * count


@pytest.mark.parametrize("cut", [None, 1, 7])
def test_bytes_go_both_ways(cut: int | None) -> None:
    with FakeUpstream([Send(ANSWER, cut=cut)]) as upstream:
        asked = requests_to(upstream.port, 3)
        seen = asyncio.run(exchange(lambda: relay.Client(upstream.port), asked, payload.COMPLETION[-40:].encode()))
        assert seen == ANSWER * 3
        assert [request.body for request in upstream.requests] == [payload.body()] * 3
        assert len(upstream.connections) == 1


def test_who_loses_the_server_loses_the_connection() -> None:
    async def main(port: int) -> bytes:
        server = await asyncio.get_running_loop().create_server(lambda: relay.Client(port), "127.0.0.1", 0)
        async with server, asyncio.timeout(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            writer.write(payload.raw(port, payload.body()))
            seen = await reader.read()
            writer.close()
            return seen

    script: Script = [Send(ANSWER[:50]), Close()]
    with FakeUpstream(script) as upstream:
        assert asyncio.run(main(upstream.port)) == ANSWER[:50]


@pytest.mark.parametrize("cut", [None, 1, 7, 100])
@pytest.mark.parametrize(("answer", "end", "facts"), [
    (ANSWER, payload.COMPLETION[-40:].encode(), [200, "bench-model", "stop", 34, 27, 0]),
    (EVENTS, b"\r\n0\r\n\r\n", [200, "bench-model", "stop", None, None, 2]),
], ids=["whole", "stream"])  # fmt: skip
def test_what_is_recorded_is_in_the_file_before_the_other_side_sees_it(
    tmp_path: Path, cut: int | None, answer: bytes, end: bytes, facts: list[object]
) -> None:
    path = tmp_path / "journal"
    when_asked: list[int] = []

    def handler(request: Request) -> Script:
        assert request.body == payload.body()
        when_asked.append(len(recording_relay.frames(path.read_bytes())))
        return [Send(answer, cut=cut)]

    async def main(port: int) -> bytes:
        journal = recording_relay.Journal(path, asyncio.get_running_loop())
        return await exchange(lambda: recording_relay.Client(port, journal), requests_to(port, 3), end)

    with FakeUpstream(handler) as upstream:
        assert asyncio.run(main(upstream.port)) == answer * 3
    assert when_asked == [1, 3, 5]
    records = recording_relay.frames(path.read_bytes())
    opened, closed = records[::2], records[1::2]
    assert [record[0] for record in opened] == [record[0] for record in closed] == [1, 2, 3]
    for record in opened:
        assert record[2:] == ["bench-model", False, 128, 0.7, "bench", 2, len(requests_to(upstream.port, 1)[0])]
    for record in closed:
        assert record[4:10] == facts
        assert record[10] == len(answer)
        opened_ns, first_ns, closed_ns = (time for time in record[1:4] if isinstance(time, int))
        assert opened_ns <= first_ns <= closed_ns


def test_a_frame_that_is_torn_or_altered_is_noticed(tmp_path: Path) -> None:
    async def main() -> None:
        journal = recording_relay.Journal(tmp_path / "journal", asyncio.get_running_loop())
        record = recording_relay.Opened(1, 2, "model", False, None, None, None, 1, 100)
        sent = asyncio.get_running_loop().create_future()
        journal.write(record, sent.set_result, b"request")
        assert await sent == b"request"

    asyncio.run(main())
    content = (tmp_path / "journal").read_bytes()
    assert recording_relay.frames(content)[0][2] == "model"
    for broken in (content[:-1], content.replace(b"model", b"mudel")):
        with pytest.raises(ValueError, match="not whole"):
            recording_relay.frames(broken)
