"""What a client gets through the whole stack is what the server sent, byte for byte, however it was cut and packed."""

import json
import random
import re
import socket
from pathlib import Path
from typing import Final

import pytest

from tests.system.house import House
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    Close,
    FakeUpstream,
    Pause,
    Request,
    Script,
    Send,
    Step,
    chat_completion,
    chat_event,
    chat_events,
    chunk,
    compressed,
    error_response,
    head,
    usage_event,
)  # fmt: skip

pytestmark = pytest.mark.system

ANSWERS: Final = 200
_ALPHABET: Final = "abc XYZ 0123 \n\t\"\\{}[]:,'äöü€𝄞\u2028\x7f"
_OURS: Final = re.compile(rb"\r\nx-llm-metrics-request-id: [0-9a-f]{32}(?=\r\n)")


def text(rng: random.Random, most: int) -> str:
    return "".join(rng.choices(_ALPHABET, k=rng.randint(0, most)))


def answer(request: Request) -> Script:
    """A random answer that depends on the request alone, so that asking twice gives the same bytes."""
    if request.method == "GET":
        return [Send(head(200, ("content-length", "0")))]
    rng = random.Random(request.json()["seed"])
    fields = [("X-Odd", text(rng, 20).encode("ascii", "ignore").decode().translate({9: "", 10: "", 127: ""}).strip())]
    if request.json()["stream"]:
        body = b"".join(events(rng))
        fields.append(EVENT_STREAM)
    else:
        body = whole(rng)
        fields.append(("Content-Type", rng.choice(["application/json", "application/json; charset=utf-8"])))
    if coding := rng.choice([None, None, "gzip", "deflate", "br", "zstd"]):
        body = compressed(body, coding)
        fields.append(("Content-Encoding", coding))
    rng.shuffle(fields)
    return framed(rng, body, fields)


def events(rng: random.Random) -> list[bytes]:
    """A stream of chat events with the quirks that servers have."""
    tokens = [text(rng, 40) for _ in range(rng.randint(0, 60))]
    made = chat_events(tokens, finish_reason=rng.choice(["stop", "length", "tool_calls"]))
    if rng.random() < 0.3:
        made.insert(rng.randrange(len(made)), b": keep-alive\n\n")
    if rng.random() < 0.3:
        made.insert(-1, usage_event(prompt=rng.randint(1, 9999), completion=len(tokens)))
    if rng.random() < 0.3:
        made.insert(0, chat_event({"reasoning_content": text(rng, 2000)}))
    if rng.random() < 0.2:
        made = [event.replace(b"\n\n", b"\r\n\r\n") for event in made]
    if rng.random() < 0.1:
        made.append(b"data: not JSON at all {\n\n")
    return made


def whole(rng: random.Random) -> bytes:
    """A chat completion, an error or something that is no JSON."""
    if rng.random() < 0.1:
        return text(rng, 3000).encode()
    if rng.random() < 0.2:
        return error_response(200, text(rng, 900)).partition(b"\r\n\r\n")[2]
    value = chat_completion(text(rng, rng.choice([10, 1000, 100_000])), n=rng.randint(1, 3))
    return json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 2])).encode()


def framed(rng: random.Random, body: bytes, fields: list[tuple[str, str]]) -> Script:
    """With a length, chunked or up to the end of the connection; cut anywhere, with pauses in between."""
    cut = rng.choice([None, None, 1 + len(body) // 7, 1460])
    framing = rng.choice(["length", "chunked", "chunked", "close"])
    status = rng.choice([200, 200, 200, 201, 404, 429, 500])
    if framing == "length":
        return [Send(head(status, *fields, ("Content-Length", str(len(body)))) + body, cut=cut)]
    if framing == "close":
        return [Send(head(status, *fields, ("Connection", "close")) + body, cut=cut), Close()]
    steps: list[Step] = [Send(head(status, *fields, CHUNKED))]
    position = 0
    while position < len(body):
        size = rng.choice([1, 7, 100, 5000, 60_000])
        steps.append(Send(chunk(body[position : position + size], rng.choice([b"", b"", b";x=y"])), cut=cut))
        position += size
        if rng.random() < 0.02:
            steps.append(Pause(0.002))
    return [*steps, Send(LAST_CHUNK)]


def ask(port: int, seed: int, *, stream: bool) -> tuple[bytes, bytes]:
    """Head without framing and without what the proxy adds; body without chunk framing."""
    body = b'{"model":"m","seed":%d,"stream":%s,"messages":[]}' % (seed, b"true" if stream else b"false")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Accept-Encoding: gzip, br, zstd\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        with sock.makefile("rb") as file:
            lines = list(iter(file.readline, b"\r\n"))
            names = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}
            if b"transfer-encoding" in names:
                content = b""
                while size := int(file.readline().partition(b";")[0], 16):
                    content += file.read(size)
                    assert file.readline() == b"\r\n"
            elif b"content-length" in names:
                content = file.read(int(names[b"content-length"]))
                assert len(content) == int(names[b"content-length"])
            else:
                content = file.read()
    framing = (b"connection", b"transfer-encoding", b"content-length", b"date", b"keep-alive", b"via")
    kept = [line for line in lines if line.partition(b":")[0].lower() not in framing]
    return _OURS.sub(b"", b"\r\n" + b"".join(kept)), content


def test_random_answers_through_the_stack_are_those_of_the_server_byte_for_byte(tmp_path: Path) -> None:
    rng = random.Random(7)
    total = 0
    with FakeUpstream(answer) as upstream:
        house = House(tmp_path, upstream)
        with house.live() as stack:
            for seed in range(ANSWERS):
                stream = rng.random() < 0.6
                straight = ask(upstream.port, seed, stream=stream)
                through = ask(house.port, seed, stream=stream)
                assert through[0] == straight[0], f"seed {seed}: other heads"
                assert through[1] == straight[1], f"seed {seed}: other bytes"
                total += len(straight[1])
            rows = house.settle(stack)
    print(f"\n{ANSWERS} answers of {total} bytes, {len(rows)} records")
    assert total > 1_000_000
    assert len(rows) == ANSWERS
    assert sum(row["response_bytes"] for row in rows) == total
