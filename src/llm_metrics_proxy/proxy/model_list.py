"""``GET /v1/models`` of several backends as one list, in OpenAI's shape.

Only a model that a request naming it would reach is listed, and once: under the first backend, in the settings' order,
that lists it. A backend that does not answer in time is left out and named; one whose API lists models in a way of its
own, for requests of its own, is not asked.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.proxy.choice import RoutingRule, eligible
from llm_metrics_proxy.proxy.fetch import Fetched, fetch
from llm_metrics_proxy.wire.content_coding import decoder_for

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.fleet import Fleet, Server

MAX_LIST_BYTES: Final = 8 * 1024 * 1024  # OpenRouter's list is about half a megabyte
MISSING_FIELD: Final = b"x-llm-metrics-missing-backends: "


class Listing(NamedTuple):
    """``body`` is ``None`` if no backend listed models; ``missing`` has names and reasons, in the record's words."""

    body: bytes | None
    missing: list[tuple[str, str]]
    reasons: tuple[str, ...] = ()  # sentences about those missing, where there is more to say

    @property
    def missing_words(self) -> str:
        """``name:why`` of each, separated by commas; empty if none is missing."""
        return ",".join(f"{name}:{why}" for name, why in self.missing)

    @property
    def missing_line(self) -> bytes:
        """The line of the answer's head that names them; empty if none is missing."""
        names = b",".join(name.encode("latin-1", "replace") for name, _ in self.missing)
        return MISSING_FIELD + names + b"\r\n" if names else b""


async def list_models(fleet: "Fleet", request_to: "Callable[[Server], bytes]", timeout_s: float) -> Listing:
    """Ask every server at the same time, ejected ones too: an answer shows that one is back."""
    servers = fleet.listing
    answers = await asyncio.gather(
        *(fetch(server.pool, request_to(server), timeout_s, MAX_LIST_BYTES) for server in servers)
    )
    lists: list[list[Any] | str] = []
    for server, answer in zip(servers, answers, strict=True):
        if answer.error is None:
            server.answered(answer.status)
        lists.append(models_in(answer))
    missing = [
        (server.backend.shown_name, found)
        for server, found in zip(servers, lists, strict=True)
        if isinstance(found, str)
    ]
    reasons = tuple(dict.fromkeys(answer.message for answer in answers if answer.message is not None))
    if len(missing) == len(servers):
        return Listing(None, missing, reasons)
    return Listing(merged([server.backend.rule for server in servers], lists), missing, reasons)


def models_in(answer: Fetched) -> list[Any] | str:
    """The members of a server's list, or why it has none."""
    if answer.error is not None:
        return answer.error
    if answer.status != 200:
        return f"status_{answer.status}"
    body = answer.body
    if (coding := answer.facts.get("content_encoding")) is not None:
        decoder = decoder_for(coding)
        body = decoder.feed(body) if decoder is not None else b""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "no_list"
    models = document.get("data") if isinstance(document, dict) else None
    if models is None and isinstance(document, dict) and "data" in document:
        return []  # in Go, no models are null
    return models if isinstance(models, list) else "no_list"


def merged(rules: Sequence[RoutingRule], lists: "Sequence[list[Any] | str]") -> bytes:
    """The list that clients get; a member keeps whatever its server says of it."""
    members: dict[str, Any] = {}
    for index, models in enumerate(lists):
        for model in models if isinstance(models, list) else ():
            name = model.get("id") if isinstance(model, dict) else None
            if isinstance(name, str) and name not in members and index in eligible(rules, name, None):
                members[name] = model
    return msgspec.json.encode({"object": "list", "data": list(members.values())})
