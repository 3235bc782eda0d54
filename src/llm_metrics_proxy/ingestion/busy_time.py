"""Each request's share of its server's busy time, decided when its record is stored.

A request has a moment together with the others that are open at the same server then: each gets an equal part of it.
Over all requests the shares add up to the time in which the server had any.

The records of a batch are known, and so are the requests that are open behind it, by the frames that they were opened
with. So a moment is divided once and for all, by those that have not had their part of it yet, and what has been given
away is kept: a record that comes late finds what is left. What nobody took, because a request was opened and then sent
later or never, goes to the next record of that server.

Pure but for its memory. Times are whole microseconds since 1970.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from llm_metrics_proxy.journal.frames import decode_record
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import OpenRequest

Times = NDArray[np.int64]
Parts = NDArray[np.float64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_KEPT_US: Final = 600 * 10**6  # how late a record may come and still find what was given away
_MOST_PIECES: Final = 20_000  # of one server, 300 KB; beyond, the oldest are forgotten
_TIME_LETTERS: Final = len("2026-11-29T12:00:00.000000Z")
_DAY_LETTERS: Final = len("2026-11-29")
# Of the digits of a time of day: where they stand, and how many microseconds each is worth.
_PLACES: Final = np.array([11, 12, 14, 15, 17, 18, 20, 21, 22, 23, 24, 25])
_WORTH_US: Final = np.array([*(each * 10**6 for each in (36_000, 3_600, 600, 60, 10)), *10 ** np.arange(6, -1, -1)])
_SIGNS: Final = np.array([10, 13, 16, 19, 26])
_SIGN: Final = np.frombuffer(b"T::.Z", np.uint8)
_MOST_MS: Final = 1e12  # thirty years: more is nonsense


class _SharedOut(NamedTuple):
    """Of one server: how much of each piece of time was given away, 0 to 1. ``edges`` has one more than ``parts``;
    before the first and behind the last, nothing was. ``owed_us``: what nobody took."""

    edges: Times
    parts: Parts
    owed_us: float = 0.0


_NOTHING: Final = _SharedOut(np.zeros(0, np.int64), np.zeros(0))


class BusyTime:
    """``shares`` of each transaction; then ``confirm`` them, or ask again. For one thread."""

    def __init__(self) -> None:
        self._given: dict[str, _SharedOut] = {}
        self._new: dict[str, _SharedOut] = {}
        self._opened: dict[str, tuple[str, int] | None] = {}  # server and start, by request

    def shares(self, records: Sequence[RequestRecord], still_open: Iterable[OpenRequest]) -> list[float | None]:
        """Milliseconds of each record; ``None``: it was never sent, or when is not known.

        ``still_open``: the requests that are open behind the batch.
        """
        self._new = {}
        found: list[float | None] = [None] * len(records)
        waiting = self._waiting(still_open)
        for backend, (places, starts, ends) in _sent(records).items():
            shares, given = _divided(
                self._given.get(backend, _NOTHING),
                starts,
                ends,
                np.array(waiting.get(backend, ()), np.int64),
            )
            self._new[backend] = given
            for place, share_ms in zip(places.tolist(), (shares / 1000).tolist(), strict=True):
                found[place] = share_ms
        return found

    def confirm(self) -> None:
        """What was last asked for is stored."""
        self._given |= self._new
        self._new = {}

    def _waiting(self, still_open: Iterable[OpenRequest]) -> dict[str, list[int]]:
        """Since when requests are open, by server. A frame is read once."""
        known, self._opened = self._opened, {}
        found: dict[str, list[int]] = {}
        for request in still_open:
            name = request.request_id
            one = self._opened[name] = known[name] if name in known else _read(request)
            if one is not None:
                found.setdefault(one[0], []).append(one[1])
        return found


def _read(request: OpenRequest) -> tuple[str, int] | None:
    """The server and the time of an opened frame; ``None`` where the body was still to name the server."""
    try:
        record = decode_record(request.frame[1:])
        return None if record.backend is None else (record.backend, _us(record.timestamp))
    except (msgspec.MsgspecError, ValueError):
        return None  # the batch says what is wrong with it


def _us(timestamp: str) -> int:
    return (datetime.fromisoformat(timestamp) - _EPOCH) // _US


def _sent(records: Sequence[RequestRecord]) -> dict[str, tuple[Times, Times, Times]]:
    """Places in the batch, beginnings and ends of those that were sent, by server. As arrays: this is done for every
    record, and reading one time costs as much as all of that for one record."""
    sent_ms = np.array([record.request_sent_ms for record in records], np.float64)  # None becomes NaN
    took_ms = np.array([record.response_time_ms for record in records], np.float64)
    backends = [record.backend for record in records]
    is_known = (sent_ms >= 0) & (sent_ms <= took_ms) & (took_ms <= _MOST_MS)
    began = _began([record.timestamp for record in records])
    found = {}
    for backend in dict.fromkeys(backends):
        if backend is None:
            continue
        here = is_known & (began >= 0)
        if backends.count(backend) < len(backends):
            here &= np.fromiter((each == backend for each in backends), np.bool_, len(backends))
        places = np.flatnonzero(here)
        if len(places):
            at = began[places]
            found[backend] = (
                places,
                at + (sent_ms[places] * 1000).astype(np.int64),
                at + (took_ms[places] * 1000).astype(np.int64),
            )
    return found


def _began(texts: Sequence[str]) -> Times:
    """When each request began; -1 where that cannot be read."""
    joined = "".join(texts)
    if not texts or len(joined) != _TIME_LETTERS * len(texts) or not joined.isascii():
        return np.array([_us_or_none(text) for text in texts], np.int64)
    letters = np.frombuffer(joined.encode(), np.uint8).reshape(len(texts), _TIME_LETTERS)
    if not (_are_times(letters) and (letters[:, :_DAY_LETTERS] == letters[0, :_DAY_LETTERS]).all()):
        return np.array([_us_or_none(text) for text in texts], np.int64)  # written in another way, or around midnight
    day = _us_or_none(f"{joined[:_DAY_LETTERS]}T00:00:00Z")
    return np.full(len(texts), -1) if day < 0 else day + (letters[:, _PLACES] - ord("0")).astype(np.int64) @ _WORTH_US


def _are_times(letters: NDArray[np.uint8]) -> bool:
    digits = letters[:, _PLACES]
    return bool((digits >= ord("0")).all() and (digits <= ord("9")).all() and (letters[:, _SIGNS] == _SIGN).all())


def _us_or_none(timestamp: str) -> int:
    try:
        return _us(timestamp)
    except (TypeError, ValueError):
        return -1


def _divided(given: _SharedOut, starts: Times, ends: Times, waiting: Times) -> tuple[Parts, _SharedOut]:
    """The share of each request in microseconds, and what has been given away then. ``waiting``: beginnings of those
    that are not over yet."""
    edges = np.sort(np.concatenate((given.edges, starts, ends, waiting)), kind="stable")  # fast where much is in order
    edges = edges[np.concatenate((np.ones(1, np.bool_), edges[1:] != edges[:-1]))]
    size = len(edges)
    begin, end = np.searchsorted(edges, starts), np.searchsorted(edges, ends)
    here = np.cumsum(np.bincount(begin, minlength=size) - np.bincount(end, minlength=size))[:-1]
    there = np.cumsum(np.bincount(np.searchsorted(edges, waiting), minlength=size))[:-1]
    before = _parts_at(given, edges)
    each = np.where(here > 0, (1 - before) / np.maximum(here + there, 1), 0.0)
    lengths = np.diff(edges)
    upto = np.concatenate((np.zeros(1), np.cumsum(each * lengths)))
    shares = upto[end] - upto[begin]
    parts = np.where((here > 0) & (there == 0), 1.0, before + here * each)
    # nobody is left who could take the rest
    left = (parts > 0) & (parts < 1) & (there == 0)
    owed_us = given.owed_us + float(((1 - parts) * lengths)[left].sum())
    parts[left] = 1.0
    shares[int(np.argmax(ends))] += owed_us
    oldest = int(ends.max()) - _KEPT_US
    return shares, _kept(edges, parts, min(oldest, int(waiting.min())) if len(waiting) else oldest)


def _parts_at(given: _SharedOut, edges: Times) -> Parts:
    """What was given away of the pieces between ``edges``, which include all of the old ones."""
    if not len(given.parts):
        return np.zeros(len(edges) - 1)
    padded = np.concatenate((np.zeros(1), given.parts, np.zeros(1)))
    found: Parts = padded[np.searchsorted(given.edges, edges[:-1], side="right")]
    return found


def _kept(edges: Times, parts: Parts, since: int) -> _SharedOut:
    """Without what no record can ask for any more; neighbours that are alike are one piece."""
    changes = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), parts[1:] != parts[:-1])))
    first = max(0, int(np.searchsorted(edges[changes], since, side="right")) - 1, len(changes) - _MOST_PIECES)
    chosen = changes[first:]
    return _SharedOut(np.concatenate((edges[chosen], edges[-1:])), parts[chosen])
