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

from llm_metrics_proxy.demo.conversations import WORD, Conversations

_PATIENCE_S: Final = 1.0  # after a refused connection
_MAX_OPEN: Final = 64  # a proxy that stalls is not buried under more requests
_ANSWER_LIMIT_S: Final = 120.0


class Persona(NamedTuple):
    """One kind of client: who it is, what it asks, and how often compared with the others."""

    weight: int
    fields: dict[str, str]
    model: str
    stream: bool
    prompt_words: int  # median, of what is new in a request
    max_tokens: int | None = None
    tools: bool = False
    n: int = 1
    path: str = "/v1/chat/completions"
    team: str = "support"
    most_chars: int = 0  # it talks in sessions, which are over when they have so many; 0: it does not
    system_words: int = 40
    agents: bool = False  # some requests come from a subagent
    key: str = ""  # else one of the keys that all share


PERSONAS: Final = (
    Persona(
        36, {"origin": "http://chat.localhost", "user-agent": "Mozilla/5.0 (demo)"}, "demo-large", True, 120,
        most_chars=14_000, system_words=600,
    ),
    Persona(
        23, {"x-llm-metrics-origin": "demo-editor", "user-agent": "demo-editor/1.4"}, "demo-small", True, 900, 120,
        team="web",
    ),
    Persona(12, {"user-agent": "OpenAI/Python 2.1"}, "demo-reasoning", True, 150, team="search"),
    Persona(10, {"user-agent": "OpenAI/Python 2.1"}, "demo-small", False, 500, 200, team="search"),
    Persona(
        12, {"x-llm-metrics-origin": "demo-agent", "user-agent": "demo-agent/0.3"}, "demo-large", True, 260, tools=True,
        team="web", most_chars=80_000, system_words=1500, agents=True, key="demo-subscription",
    ),
    Persona(3, {"user-agent": "demo-batch/2.0"}, "demo-small", False, 120, 80, n=3, team="data"),
    Persona(3, {"user-agent": "demo-batch/2.0"}, "demo-embedding", False, 400, path="/v1/embeddings", team="data"),
    Persona(1, {"user-agent": "demo-batch/2.0"}, "demo-unknown", False, 50, team="data"),  # a model that is not there
)  # fmt: skip
# By this tag the page tells requests of one's own from simulated ones.
SIMULATED_TAG: Final = "traffic=simulated"
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


def draw(random: Random, conversations: Conversations | None = None) -> Request:
    """The next client's request. ``conversations`` go on from one to the next; without, none does."""
    persona = random.choices(PERSONAS, [persona.weight for persona in PERSONAS])[0]
    too_long = random.random() < _TOO_LONG
    words = 60_000 if too_long else max(1, round(random.lognormvariate(0, 0.8) * persona.prompt_words))
    fields = {
        **persona.fields,
        "authorization": f"Bearer {persona.key or f'demo-key-{random.randint(1, 4)}'}",
        "x-llm-metrics-tag": f"{SIMULATED_TAG},team={persona.team}",
    }
    body: dict[str, Any] = {"model": persona.model, "user": f"demo-user-{random.randint(1, 12)}"}
    if persona.path == "/v1/embeddings":
        body["input"] = [WORD * words]
    else:
        body["messages"] = [
            {"role": "system", "content": "You are simulated."},
            {"role": "user", "content": WORD * words},
        ]
        body |= {"stream": persona.stream, "temperature": random.choice((0.0, 0.2, 0.7, 1.0)), "n": persona.n}
    if persona.most_chars and not too_long:
        turn = (conversations or Conversations()).turn(
            random, fields["user-agent"], words,
            system_words=persona.system_words, most_chars=persona.most_chars, agents=persona.agents,
        )  # fmt: skip
        body |= {"user": turn.user, "messages": turn.messages}
        fields["x-llm-metrics-session"] = turn.session
        if turn.agent is not None:
            fields["x-claude-code-agent-id"] = turn.agent
    if persona.stream and random.random() < 0.9:  # not every client requests usage
        body["stream_options"] = {"include_usage": True}
    if persona.max_tokens is not None:
        body["max_tokens"] = persona.max_tokens
    if persona.tools:
        body["tools"] = [_TOOL]
    leaves = random.uniform(0.05, 2.0) if persona.stream and random.random() < _GIVES_UP else None
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
    conversations = Conversations()
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            await asyncio.sleep(random.expovariate(rate_per_s))
            if len(running) < _MAX_OPEN:
                task = asyncio.create_task(_ask_patiently(host, port, draw(random, conversations)))
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
