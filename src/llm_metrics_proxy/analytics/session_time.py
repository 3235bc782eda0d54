"""Where a session's time went: each moment of it belongs to the requests open then, in equal parts, or to nobody. Pure.

So all parts add up to the time from the first request to the end of the last answer, however many agents ran at once.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

PAUSE_MS: Final = 60_000  # a tool mostly answers within a minute; what is longer is mostly a person
_MOST_MS: Final = 10**12  # thirty years: longer ones are no measurements

# What a request waits for, in order: the proxy (its body, a connection), the server's first token, the rest of them.
WAITING, FIRST_TOKEN, GENERATING, UNDIVIDED = PHASES = ("waiting", "first_token", "generating", "undivided")


class Phases(NamedTuple):
    """The parts of one response time, in milliseconds. ``None``: the record does not say; then all is ``undivided``, as
    of an answer that was not streamed, of which the server's part has no first token."""

    waiting: float | None
    first_token: float | None
    generating: float | None
    undivided: float | None

    @property
    def total(self) -> float:
        """The response time."""
        return sum(part for part in self if part is not None)


def phases_of(record: Mapping[str, Any]) -> Phases:
    """From the moments that a record has. One that lies before an earlier one counts as that."""
    whole = _within(record["response_time_ms"], _MOST_MS)
    if whole is None:
        return Phases(None, None, None, None)
    sent = _within(record["request_sent_ms"], whole)
    first = _within(record["time_to_first_token_ms"], whole)
    if first is None:
        rest = whole - (sent or 0)
        return Phases(sent, None, None, rest)
    sent = min(sent or 0.0, first)
    return Phases(sent, first - sent, whole - first, None)


def _within(value: Any, most: float) -> float | None:
    return max(0.0, min(float(value), most)) if isinstance(value, int | float) else None


class Interval(NamedTuple):
    """A phase of a request. Microseconds on any clock; ``of`` is the request's place in a list."""

    begin: int
    end: int
    phase: str
    of: int


def intervals(began_us: Sequence[int], phases: Sequence[Phases]) -> list[Interval]:
    """Of every request, one for each phase that it has. Their ends are rounded once, so that none is lost between."""
    found = []
    for place, (begin, parts) in enumerate(zip(began_us, phases, strict=True)):
        at, passed = begin, 0.0
        for phase, part in zip(PHASES, parts, strict=True):
            if part is not None:
                passed += part
                end = begin + round(passed * 1000)
                found.append(Interval(at, end, phase, place))
                at = end
    return found


class TimeShares(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds; all but the first add up to ``total_ms``. Of what several requests share, each has an equal
    part."""

    total_ms: float  # from the first request to the end of the last answer
    waiting_ms: float  # for the request's body and a connection
    first_token_ms: float  # from then to the first token
    generating_ms: float  # from then to the end
    undivided_ms: float  # of answers that were not streamed: the server's whole part
    between_ms: float  # no request was open, for up to a minute: mostly tools
    pauses_ms: float  # no request was open, for longer: mostly a person


class SharedTime(NamedTuple):
    """``of_request``: each one's part of the whole time, in milliseconds; ``gaps``: before each, how long none was
    open."""

    shares: TimeShares
    of_request: list[float]
    gaps: list[float]


def shared_out(began_us: Sequence[int], phases: Sequence[Phases]) -> SharedTime:
    """Of requests in the order in which they began. One pass over all moments at which something begins or ends."""
    parts = intervals(began_us, phases)
    clock = _shared_clock(parts)
    by_phase = dict.fromkeys(PHASES, 0.0)
    of_request = [0.0] * len(began_us)
    for begin, end, phase, place in parts:
        share = (clock[end] - clock[begin]) / 1000
        by_phase[phase] += share
        of_request[place] += share
    gaps, last = [0.0] * len(began_us), None
    for place, begin in enumerate(began_us):
        if last is not None and begin > last:
            gaps[place] = (begin - last) / 1000
        end = begin + round(phases[place].total * 1000)
        last = end if last is None else max(last, end)
    total = 0.0 if last is None else (last - began_us[0]) / 1000
    shares = TimeShares(
        total_ms=total,
        **{f"{phase}_ms": share for phase, share in by_phase.items()},
        between_ms=sum(gap for gap in gaps if gap <= PAUSE_MS),
        pauses_ms=sum(gap for gap in gaps if gap > PAUSE_MS),
    )
    return SharedTime(shares, of_request, gaps)


def _shared_clock(parts: Iterable[Interval]) -> dict[int, float]:
    """At each moment: how much time one request has been given until then that was open all along."""
    changes: dict[int, int] = {}
    for begin, end, *_ in parts:
        changes[begin] = changes.get(begin, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    moments = sorted(changes)
    clock = {moments[0]: 0.0} if moments else {}
    is_open, given = 0, 0.0
    for at, then in pairwise(moments):
        is_open += changes[at]
        given += (then - at) / is_open if is_open else 0.0
        clock[then] = given
    return clock
