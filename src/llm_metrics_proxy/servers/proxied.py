"""What records say of each server, in three questions for all of them: over time, in all, and of its waits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.analytics import Query, RequestFilter, ask
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.result import Key

_TTFT: Final = "time_to_first_token_ms"
_SEEN: Final = {f"{_TTFT}.p50": "first_token_p50_ms", f"{_TTFT}.p95": "first_token_p95_ms", "requests": "requests"}
# Of streams that came to their end: all of them have a first token and the moment they were sent.
_WAITS: Final = {
    f"{_TTFT}.mean": "first_token_mean_ms", "request_sent_ms.mean": "sent_ms", "server_prompt_ms.mean": "prompt_ms",
    "server_load_ms.mean": "load_ms",
}  # fmt: skip
MOST_SERVERS: Final = 200

Numbers = dict[str, float | None]


class Proxied(NamedTuple):
    """By server: totals, and series by the moments of ``times``. Of records without a server's name, by ``None``."""

    totals: dict[str | None, Numbers]
    series: dict[str | None, dict[str, list[float | None]]]


def read_proxied(records: Records, over: Query, times: Sequence[datetime], now: datetime) -> Proxied:
    """``over`` says the range, the bucket and the zone; ``times`` are the first moments of the buckets. Raises
    ``QueryError`` and ``StoreError``."""
    streams = msgspec.structs.replace(over.filter, streaming=True, success=True)
    sources = records.sources()

    def asked(names: dict[str, str], about: RequestFilter, *by: str) -> list[tuple[dict[str, Key], Numbers]]:
        bucket = over.bucket if "time" in by else None
        query = msgspec.structs.replace(over, metrics=tuple(names), group_by=by, filter=about, bucket=bucket)
        return [
            (row.key, {name: row.values[metric].value for metric, name in names.items()})
            for row in ask(sources, query, now).rows
            if not row.merged
        ]

    totals: dict[str | None, Numbers] = {}
    for names, about in ((_SEEN, over.filter), (_WAITS, streams)):
        for key, numbers in asked(names, about, "backend_name"):
            totals.setdefault(_name(key), {}).update(numbers)
    places = {moment: index for index, moment in enumerate(times)}
    series: dict[str | None, dict[str, list[float | None]]] = {}
    for key, numbers in asked(_SEEN, over.filter, "time", "backend_name"):
        place = places.get(datetime.fromisoformat(str(key["time"])))
        if place is not None:
            rows = series.setdefault(_name(key), {name: [None] * len(times) for name in _SEEN.values()})
            for name, value in numbers.items():
                rows[name][place] = value
    return Proxied({name: _with_shares(one) for name, one in totals.items()}, series)


def _name(key: Mapping[str, Key]) -> str | None:
    name = key["backend_name"]
    return name if isinstance(name, str) else None


def _with_shares(numbers: Numbers) -> Numbers:
    """The server's part of the wait for the first token; and its queue, where it reports how long prompts took: what
    is left of its part."""
    first, sent = numbers.pop("first_token_mean_ms", None), numbers.pop("sent_ms", None)
    prompt, load = numbers.pop("prompt_ms", None), numbers.pop("load_ms", None)
    server = None if first is None or sent is None else max(0.0, first - sent)
    share = None if server is None or not first else server / first
    queue = None if server is None or prompt is None else max(0.0, server - prompt - (load or 0.0))
    return {
        **numbers, "first_token_mean_ms": first, "server_first_token_ms": server, "server_first_token_share": share,
        "seen_queue_ms": queue,
    }  # fmt: skip
