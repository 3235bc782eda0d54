"""Simulated clients: a Poisson stream of believable requests to the proxy, some of them given up half-way.

One connection per request on plain asyncio streams. What the answers say does not matter here; a proxy that is not
there yet, or restarts, is met with patience.
"""

import asyncio
import contextlib
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

_PATIENCE_S: Final = 1.0  # after a refused connection
_MAX_OPEN: Final = 64  # a proxy that stalls is not buried under more requests
_ANSWER_LIMIT_S: Final = 120.0


class Persona(NamedTuple):
    """One kind of client: who it is, what it asks, and how often compared with the others."""

    weight: int
    fields: dict[str, str]
    model: str
    stream: bool
    prompt_words: int  # median
    max_tokens: int | None = None
    tools: bool = False
    n: int = 1
    path: str = "/v1/chat/completions"


PERSONAS: Final = (
    Persona(40, {"origin": "http://chat.localhost", "user-agent": "Mozilla/5.0 (demo)"}, "demo-large", True, 300),
    Persona(25, {"x-llm-metrics-origin": "demo-editor", "user-agent": "demo-editor/1.4"}, "demo-small", True, 900, 120),
    Persona(12, {"user-agent": "OpenAI/Python 2.1"}, "demo-reasoning", True, 150),
    Persona(10, {"user-agent": "OpenAI/Python 2.1"}, "demo-small", False, 500, 200),
    Persona(
        6, {"x-llm-metrics-origin": "demo-agent", "user-agent": "demo-agent/0.3"}, "demo-large", False, 700, tools=True
    ),
    Persona(3, {"user-agent": "demo-batch/2.0"}, "demo-small", False, 120, 80, n=3),
    Persona(3, {"user-agent": "demo-batch/2.0"}, "demo-embedding", False, 400, path="/v1/embeddings"),
    Persona(1, {"user-agent": "demo-batch/2.0"}, "demo-unknown", False, 50),  # a model that is not there
)
_GIVES_UP: Final = 0.04  # share of streams that the client leaves
_TOO_LONG: Final = 0.004  # share of prompts that exceed every context
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"term": {"type": "string"}, "limit": {"type": "integer"}}},
    },
}


class Request(NamedTuple):
    """One request of a persona; ``leaves_after_s`` is when the client hangs up, if it does."""

    path: str
    fields: dict[str, str]
    body: bytes
    leaves_after_s: float | None


def draw(random: Random) -> Request:
    """The next client's request."""
    persona = random.choices(PERSONAS, [persona.weight for persona in PERSONAS])[0]
    words = (
        60_000 if random.random() < _TOO_LONG else max(1, round(random.lognormvariate(0, 0.8) * persona.prompt_words))
    )
    prompt = "word " * words
    body: dict[str, Any] = {"model": persona.model, "user": f"demo-user-{random.randint(1, 12)}"}
    if persona.path == "/v1/embeddings":
        body["input"] = [prompt]
    else:
        body["messages"] = [
            {"role": "system", "content": "You are simulated."},
            {"role": "user", "content": prompt},
        ]
        body |= {"stream": persona.stream, "temperature": random.choice((0.0, 0.2, 0.7, 1.0)), "n": persona.n}
    if persona.stream and random.random() < 0.9:  # not every client requests usage
        body["stream_options"] = {"include_usage": True}
    if persona.max_tokens is not None:
        body["max_tokens"] = persona.max_tokens
    if persona.tools:
        body["tools"] = [_TOOL]
    leaves = random.uniform(0.05, 2.0) if persona.stream and random.random() < _GIVES_UP else None
    fields = {**persona.fields, "authorization": f"Bearer demo-key-{random.randint(1, 4)}"}
    return Request(persona.path, fields, msgspec.json.encode(body), leaves)


async def ask(host: str, port: int, request: Request) -> int:
    """Send one request and read its answer to the end, or leave; the number of bytes that came."""
    head = [
        f"POST {request.path} HTTP/1.1",
        f"host: {host}:{port}",
        "connection: close",
        "content-type: application/json",
    ]
    head += [f"{name}: {value}" for name, value in request.fields.items()]
    head += [f"content-length: {len(request.body)}", "", ""]
    received = 0
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(request.leaves_after_s or _ANSWER_LIMIT_S):
            writer.write("\r\n".join(head).encode() + request.body)
            while data := await reader.read(65536):
                received += len(data)
    except TimeoutError:
        writer.transport.abort()  # what a closed browser tab does
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return received


async def generate(base_url: str, rate_per_s: float, seed: int) -> None:
    """Send requests forever, ``rate_per_s`` on average, until cancelled."""
    parts = urlsplit(base_url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    random = Random(f"traffic-{seed}")  # noqa: S311 -- a simulation
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            await asyncio.sleep(random.expovariate(rate_per_s))
            if len(running) < _MAX_OPEN:
                task = asyncio.create_task(_ask_patiently(host, port, draw(random)))
                running.add(task)
                task.add_done_callback(running.discard)
    finally:
        for task in running:
            task.cancel()


async def _ask_patiently(host: str, port: int, request: Request) -> None:
    try:
        await ask(host, port, request)
    except OSError:
        await asyncio.sleep(_PATIENCE_S)
