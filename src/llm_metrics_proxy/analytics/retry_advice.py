"""How long to wait after a server said "not now": from its newest limited answers, by server and model."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

MAX_LIMITED: Final = 100  # answers read, newest first, of all servers and models together
_RETRY_AFTER: Final = "retry_after"
_RESET: Final = "ratelimit_reset"
_KINDS: Final = ("requests", "tokens")
_HEADROOM: Final = tuple(
    f"ratelimit_{name}"
    for kind in _KINDS
    for name in (f"limit_{kind}", f"remaining_{kind}", f"reset_{kind}_ms")
)  # fmt: skip
# What is read of each of them.
READ: Final = (
    "timestamp", "backend_name", "backend", "model", "response_time_ms", "retry_after_ms", *_HEADROOM,
)  # fmt: skip


class RetryAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """What ``n`` limited answers of one server and model say about waiting; durations are milliseconds.

    ``wait_ms`` comes from the newest answer that has one: its Retry-After, else the time until the allowance that it
    reports as used up is reset. ``not_before`` is that answer's end plus ``wait_ms``. Headroom is the newest reported.
    """

    backend_name: str | None
    backend: str | None
    model: str | None
    n: int
    newest: str | None
    wait_ms: float | None
    wait_source: str | None  # retry_after or ratelimit_reset
    not_before: str | None
    retry_after_n: int  # answers with a Retry-After
    retry_after_max_ms: float | None
    ratelimit_limit_requests: float | None
    ratelimit_remaining_requests: float | None
    ratelimit_reset_requests_ms: float | None
    ratelimit_limit_tokens: float | None
    ratelimit_remaining_tokens: float | None
    ratelimit_reset_tokens_ms: float | None
    advice: str


def advise(limited: Iterable[Mapping[str, Any]]) -> list[RetryAdvice]:
    """``limited``: records as ``rows.item`` has them, newest first. Who was limited last stands first."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for record in limited:
        groups.setdefault((record["backend_name"], record["backend"], record["model"]), []).append(record)
    return [_advice(key, records) for key, records in groups.items()]


def _advice(key: tuple[Any, ...], records: Sequence[Mapping[str, Any]]) -> RetryAdvice:
    waits_ms = [ms for record in records if (ms := _duration(record, "retry_after_ms")) is not None]
    waits = ((record, *_wait(record)) for record in records)
    told_by, wait_ms, source = next((wait for wait in waits if wait[1] is not None), (None, None, None))
    return RetryAdvice(
        backend_name=key[0],
        backend=key[1],
        model=key[2],
        n=len(records),
        newest=records[0]["timestamp"],
        wait_ms=wait_ms,
        wait_source=source,
        not_before=None if told_by is None or wait_ms is None else _not_before(told_by, wait_ms),
        retry_after_n=len(waits_ms),
        retry_after_max_ms=max(waits_ms, default=None),
        **{name: _newest_told(records, name) for name in _HEADROOM},
        advice=_words(len(records), waits_ms, wait_ms, source),
    )


def _wait(record: Mapping[str, Any]) -> tuple[float | None, str | None]:
    if (retry_after := _duration(record, "retry_after_ms")) is not None:
        return retry_after, _RETRY_AFTER
    resets = [
        reset
        for kind in _KINDS
        if record[f"ratelimit_remaining_{kind}"] == 0
        and (reset := _duration(record, f"ratelimit_reset_{kind}_ms")) is not None
    ]
    return (max(resets), _RESET) if resets else (None, None)


def _duration(record: Mapping[str, Any], name: str) -> float | None:
    """An older program may have stored anything; a negative number is not a duration."""
    value = record[name]
    return value if value is not None and value >= 0 else None


def _newest_told(records: Iterable[Mapping[str, Any]], name: str) -> float | None:
    return next((record[name] for record in records if record[name] is not None), None)


def _not_before(record: Mapping[str, Any], wait_ms: float) -> str | None:
    try:
        began = datetime.fromisoformat(record["timestamp"] or "").astimezone(UTC)
        moment = began + timedelta(milliseconds=(_duration(record, "response_time_ms") or 0) + wait_ms)
    except (ValueError, OverflowError):  # no time, or one beyond the calendar
        return None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _words(n: int, waits_ms: Sequence[float], wait_ms: float | None, source: str | None) -> str:
    if wait_ms is None:
        return f"No answer says how long ({n} limited): wait 1 s, and twice as long after each further one."
    if source == _RETRY_AFTER:
        rests_on = f"{len(waits_ms)} of {n} limited answers have one, the longest {_seconds(max(waits_ms))}"
        return f"Wait {_seconds(wait_ms)}, as the newest Retry-After says; {rests_on}."
    return f"Wait {_seconds(wait_ms)} for the allowance that is used up to come back ({n} limited)."


def _seconds(ms: float) -> str:
    return f"{ms / 1000:,.1f} s" if ms % 1000 else f"{ms / 1000:,.0f} s"
