"""``/api/v1/live``: new records as they arrive, as server-sent events."""

import asyncio
from typing import Annotated, Final

from fastapi import Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import Arrivals
from llm_metrics_proxy.api import live_events as events
from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.live_hub import MAX_LISTENERS, MAX_RECORDS, TICK_S, Hub, LiveListener
from llm_metrics_proxy.api.parameters import LiveParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer
from llm_metrics_proxy.api.scope import ABORT, ASKED_FOR_HEAD
from llm_metrics_proxy.errors import QueryError

HEARTBEAT_S: Final = 10.0  # proxies close connections that are idle for 30 s or more
_RETRY_S: Final = 10
_MEDIA_TYPE: Final = "text/event-stream"
_DESCRIPTION: Final = (
    "Server-sent events. `start` (`LiveStart`) comes first; `record` (`RequestItem`) for each new record; `totals` "
    "(`LiveTotals`) whenever they change, over every record since the stream began; `skipped` (`LiveSkipped`) where "
    f"more than {MAX_RECORDS} arrived within {TICK_S:g} s: the newest are sent; `problem` (`LiveProblem`) while the "
    f"database cannot be read. A comment is sent where nothing else was for {HEARTBEAT_S:g} s. The id of an event "
    "`record` is its `arrival`; where several hosts record, it says how far each of them has been seen. With "
    "Last-Event-ID the stream goes on after that event. A client that takes too little is dropped, and can go on in "
    "that way."
)


def add_live_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """The route."""
    hub = Hub(ports)

    # async: it waits for hours, and must not take a thread for it
    @routes.get(
        "live",
        "New records and running totals, as they arrive",
        {"description": "Events, without end.", "content": {_MEDIA_TYPE: {"schema": {"type": "string"}}}},
        LiveParameters,
        tag="records",
        more={429: answer("ErrorAnswer", "Too many listen already; Retry-After says when to ask again.")},
        description=_DESCRIPTION,
    )
    async def read_live(
        parameters: Annotated[LiveParameters, Query()],
        last_event_id: Annotated[
            str | None, Header(alias="Last-Event-ID", description="Id of the last event seen; browsers send it.")
        ] = None,
    ) -> Response:
        name, text = ("last_event_id", parameters.last_event_id)
        if last_event_id is not None:
            name, text = "Last-Event-ID", last_event_id
        seen = None if text is None else _seen(name, text)
        return LiveAnswer(hub, parameters.to_filter(), seen, parameters.replay)


def _seen(name: str, text: str) -> Arrivals:
    seen = Arrivals.parsed(text)
    if seen is None:
        raise QueryError(name, f"{text[:64]!r} is not an event id of this stream; begin again without one")
    return seen


class LiveAnswer(Response):
    """Sends its listener's events until the client leaves, falls behind, or the program stops."""

    media_type = _MEDIA_TYPE

    def __init__(self, hub: Hub, selection: RequestFilter, seen: Arrivals | None, replay: int) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})  # nginx would keep events back to send many at once
        del self.headers["content-length"]
        self._hub = hub
        self._asked = (selection, seen, replay)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One client."""
        if ASKED_FOR_HEAD in scope:
            await self._begin(send)
            await send({"type": "http.response.body", "body": b""})
            return
        if not self._hub.reserve():
            message = f"{MAX_LISTENERS} clients listen already; ask again when one of them has left"
            await error_response(429, "too_many_requests", message, headers={"Retry-After": str(_RETRY_S)})(
                scope, receive, send
            )
            return
        try:
            await self._stream(scope, receive, send)
        finally:
            self._hub.give_back()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = await self._hub.join(*self._asked, abort=scope.get(ABORT, lambda: None))
        gone = asyncio.create_task(_until_gone(receive, listener))
        try:
            await self._begin(send)
            while not listener.over:
                chunk = await listener.take(HEARTBEAT_S) or (b"" if listener.over else events.HEARTBEAT)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not listener.dropped:
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._hub.leave(listener)
            gone.cancel()

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})


async def _until_gone(receive: Receive, listener: LiveListener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()
    listener.dropped = True
