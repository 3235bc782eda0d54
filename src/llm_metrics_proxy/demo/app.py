"""The ASGI application: OpenAI's paths in front of the simulated models."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.demo import faults, wire
from llm_metrics_proxy.demo.answers import answer, embedding, first_token_delay_s, inter_token_s
from llm_metrics_proxy.demo.asked import Asked, DemoRefusal, invalid, tool_to_call, understood
from llm_metrics_proxy.demo.load import DemoLoad
from llm_metrics_proxy.demo.models import MODELS
from llm_metrics_proxy.demo.options import DemoOptions
from llm_metrics_proxy.demo.prefixes import PrefixCache
from llm_metrics_proxy.demo.subscription import SUBSCRIBER, Subscription

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MARK: Final = (b"x-demo-backend", b"simulated")
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_EVENT_STREAM: Final = (b"content-type", b"text/event-stream; charset=utf-8")
_MAX_BODY_BYTES: Final = 16 * 1024 * 1024


class DemoRoute(NamedTuple):
    """A path: its method, and the member of the body that holds the prompt (none: it takes no prompt)."""

    method: str
    prompt: str | None


ROUTES: Final = {
    "/health": DemoRoute("GET", None),
    "/metrics": DemoRoute("GET", None),
    "/v1/models": DemoRoute("GET", None),
    "/v1/chat/completions": DemoRoute("POST", "messages"),
    "/v1/completions": DemoRoute("POST", "prompt"),
    "/v1/embeddings": DemoRoute("POST", "input"),
}


class DemoApp:
    """One simulated server; ``requests`` counts its requests."""

    def __init__(self, options: DemoOptions) -> None:
        self.requests = 0
        self.load = DemoLoad()
        self._options = options
        self._prefixes = PrefixCache()
        self._subscription = Subscription(time.time())
        self._random = Random(options.seed)  # noqa: S311 -- a simulation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry point."""
        if scope["type"] != "http":
            return
        self.requests += 1
        try:
            await self._serve(scope, receive, send)
        except DemoRefusal as refusal:
            await _send_json(send, wire.error_body(refusal.answer), refusal.answer.status, *refusal.answer.fields)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        route = ROUTES.get(path)
        if route is None:
            raise invalid(404, f"No such path: {path}")
        if scope["method"] != route.method:
            raise invalid(405, f"{path} takes {route.method}")
        if path == "/metrics":
            page = self.load.page()
            await send(_start(200, _TEXT, (b"content-length", b"%d" % len(page))))
            await send(_piece(page, last=True))
            return
        if route.prompt is None:
            await _send_json(send, {"status": "ok"} if path == "/health" else _models())
            return
        asked = understood(route.prompt, await _body(receive))
        random = Random(self._random.random())  # noqa: S311 -- a simulation; requests in parallel share no sequence
        fault = _fault(scope, random, self._options.fault_rate)
        if fault in faults.ANSWERS:
            raise DemoRefusal(faults.ANSWERS[fault])
        chat = route.prompt == "messages"
        identifier = f"{'chatcmpl' if chat else 'cmpl'}-demo{random.getrandbits(64):016x}"
        cached = self._prefixes.cached_tokens(asked.model.name, asked.body.messages or ()) if chat else 0
        call = wire.Call(identifier, int(time.time()), asked.model.name, chat, asked.prompt_tokens, cached)
        send = self._subscribed(scope, send, asked.prompt_tokens)
        client_left = asyncio.ensure_future(receive())  # the body is in: the next message is the disconnect
        pace = _Pace(self._options.speed, client_left)
        try:
            with self.load.serving(asked.model.name, asked.prompt_tokens):
                if route.prompt == "input":
                    await _embed(send, asked, call, random, pace)
                else:
                    await _Generation(send, asked, call, random, pace, self.load).run(fault)
        finally:
            client_left.cancel()

    def _subscribed(self, scope: Scope, send: Send, prompt_tokens: int) -> Send:
        """Answers to who has a subscription say what is left of it."""
        if dict(scope["headers"]).get(b"authorization") != SUBSCRIBER:
            return send
        fields = self._subscription.used(prompt_tokens, time.time())

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *fields]
            await send(message)

        return saying


class _Pace:
    """Waits along an absolute schedule, so that late wake-ups do not add up."""

    def __init__(self, speed: float, client_left: "asyncio.Future[Message]") -> None:
        self._speed = speed
        self._client_left = client_left
        self._next = asyncio.get_running_loop().time()

    async def passed(self, seconds: float) -> bool:
        """Wait that much longer; true as soon as the client has left."""
        self._next += seconds / self._speed
        delay_s = self._next - asyncio.get_running_loop().time()
        if delay_s > 0:
            await asyncio.wait((self._client_left,), timeout=delay_s)
        return self._client_left.done()

    async def until_client_leaves(self) -> None:
        """However long that takes."""
        await self._client_left


class _Generation:
    """One chat or text completion on its way: as events, or all at once when the last token is there."""

    def __init__(  # noqa: PLR0917 -- all that one request is
        self, send: Send, asked: Asked, call: wire.Call, random: Random, pace: _Pace, load: DemoLoad
    ) -> None:
        self._send = send
        self._load = load
        self._asked = asked
        self._call = call
        self._random = random
        self._pace = pace
        self._streamed = bool(asked.body.stream)

    async def run(self, fault: str) -> None:
        """Answer at the model's pace; ``fault`` is one of ``faults.IN_THE_MIDDLE`` or none."""
        asked, random = self._asked, self._random
        answers = [
            answer(asked.model, random, asked.limit, tool_to_call(asked.body, random)) for _ in range(asked.choices)
        ]
        strikes_after = min(faults.STRIKES_AFTER_TOKENS, sum(one.token_count for one in answers))
        slow_start_s = faults.SLOW_START_S if fault == faults.SLOW_START else 0.0
        unread = max(asked.prompt_tokens - self._call.cached_tokens, 0)
        delay_s = first_token_delay_s(asked.model, random, unread) + slow_start_s
        if await self._pace.passed(delay_s):
            return
        if self._streamed:
            await self._send(_start(200, _EVENT_STREAM, (b"cache-control", b"no-cache")))
        tokens = 0
        for event, event_tokens in wire.stream(self._call, answers, include_usage=asked.include_usage):
            if event_tokens:
                if await self._pace.passed(inter_token_s(asked.model, random)):
                    return
                tokens += 1
                self._load.wrote(asked.model.name, event_tokens)
                if tokens == strikes_after and await self._struck(fault):
                    return
            if self._streamed:
                await self._send(_piece(event))
        if self._streamed:
            await self._send(_piece(b"", last=True))
        else:
            await _send_json(self._send, wire.completion(self._call, answers))

    async def _struck(self, fault: str) -> bool:
        """Carry out the fault; whether the answer ends with it."""
        if fault == faults.TRUNCATE:
            # The ASGI server closes the connection of an answer that its application left unfinished.
            if not self._streamed:
                await self._send(_start(200, _JSON, (b"content-length", b"1000")))
                await self._send(_piece(b'{"id":"' + self._call.id.encode()))
            return True
        if fault == faults.STALL:
            await self._pace.until_client_leaves()
            return True
        if fault == faults.ERROR_EVENT:
            if not self._streamed:
                raise DemoRefusal(faults.ANSWERS["500"])
            await self._send(_piece(wire.event(wire.error_body(faults.ANSWERS["500"])), last=True))
            return True
        return False


async def _embed(send: Send, asked: Asked, call: wire.Call, random: Random, pace: _Pace) -> None:
    if await pace.passed(first_token_delay_s(asked.model, random, asked.prompt_tokens)):
        return
    inputs = 1 if isinstance(asked.body.input, str) else len(asked.body.input or ())
    vectors = [embedding(random, asked.model.embedding_dimensions) for _ in range(inputs)]
    await _send_json(send, wire.embeddings(call, vectors, as_base64=asked.body.encoding_format == "base64"))


def _fault(scope: Scope, random: Random, rate: float) -> str:
    """The fault that the request asks for, else one drawn at ``rate``."""
    drawn = faults.draw(random, rate)
    wanted: bytes | None = dict(scope["headers"]).get(faults.FAULT_HEADER)
    if wanted is None:
        return drawn
    name = wanted.decode("latin-1")
    if name not in faults.NAMES:
        raise invalid(400, f"x-demo-fault is one of {', '.join(faults.NAMES)}")
    return name


def _models() -> dict[str, Any]:
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in MODELS]
    return {"object": "list", "data": data}


async def _body(receive: Receive) -> bytes:
    pieces = bytearray()
    while True:
        message = await receive()
        pieces += message.get("body", b"")
        if len(pieces) > _MAX_BODY_BYTES:
            raise invalid(413, f"The body is larger than {_MAX_BODY_BYTES} bytes")
        if not message.get("more_body"):
            return bytes(pieces)


def _start(status: int, *fields: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [*fields, _MARK]}


def _piece(data: bytes, *, last: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": not last}


async def _send_json(send: Send, value: Any, status: int = 200, *fields: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode(value)
    await send(_start(status, _JSON, (b"content-length", b"%d" % len(body)), *fields))
    await send(_piece(body, last=True))
