"""Answers kept for readers who say that a somewhat older one will do: ``Cache-Control: max-age=5`` in the request.

Twenty people with the same dashboard ask the same at the same moment; one of them is waited for and all are answered.
Who does not send the header (RFC 9111 section 5.2.1.1) gets an answer of now, as ever, and nothing is kept of it.

The header is a bound, and how long an answer is kept within it depends on what it cost: one that took four seconds of
CPU is made anew every quarter of an hour at most, a quick one every minute. So no question takes more than half a
percent of a core, however many ask it, as long as they take such an age.
"""

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, NamedTuple

MAX_AGE_S: Final = 900  # no answer is older, whatever the header allows
KEPT_S: Final = 60  # nor than this, if it cost little
KEPT_FOR_ITS_COST: Final = 200  # seconds for each second of CPU that it took
MOST_BYTES: Final = 8 * 1024 * 1024
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age=(\d{1,9})\s*(?:,|$)", re.IGNORECASE)


class KeptAnswer(NamedTuple):
    """An answer's body, and its age in whole seconds."""

    body: bytes
    age_s: int


class _Entry:
    """``future`` is there from the moment at which somebody began to answer. ``about_s``: see ``KeptAnswers.get``."""

    def __init__(self, begun_s: float, about_s: float) -> None:
        self.begun_s, self.about_s = begun_s, about_s
        self.took_s = 0.0  # of CPU
        self.future: Future[bytes] = Future()

    def is_of(self, age_s: float, now_s: float, about_s: float) -> bool:
        """Whether it is young enough for who takes an answer of that age."""
        age_s = min(age_s, max(KEPT_S, KEPT_FOR_ITS_COST * self.took_s))
        return now_s - self.begun_s < age_s and abs(about_s - self.about_s) <= age_s


def max_age_s(cache_control: str) -> int:
    """How old an answer may be, by a request's header Cache-Control; 0: not at all."""
    found = _MAX_AGE.search(cache_control)
    return 0 if found is None else min(int(found[1]), MAX_AGE_S)


class KeptAnswers:
    """Used from many threads. The oldest go first if there is no room."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        most_bytes: int = MOST_BYTES,
        spent_s: Callable[[], float] = time.thread_time,
    ) -> None:
        """``spent_s``: CPU time of the thread that answers."""
        self._clock, self._most_bytes, self._spent_s = clock, most_bytes, spent_s
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0

    def get(self, key: str, age_s: int, make: Callable[[], bytes], about_s: float = 0.0) -> KeptAnswer:
        """The answer to ``key``, no older than ``age_s``, else a new one of ``make``; raises what that raises.

        ``about_s``: a moment that the question names and that goes along with the clock, as the start of the last 24
        hours does. The answer about another moment is as good, if that is no further off than an answer may be old."""
        if age_s <= 0:
            return KeptAnswer(make(), 0)
        with self._lock:
            entry = self._entries.get(key)
            is_ours = entry is None or not entry.is_of(age_s, self._clock(), about_s)
            if entry is None or is_ours:
                self._forget(key)
                entry = self._entries[key] = _Entry(self._clock(), about_s)
        if is_ours:
            self._make(key, entry, make)
        body = entry.future.result()
        return KeptAnswer(body, int(self._clock() - entry.begun_s))

    def _make(self, key: str, entry: _Entry, make: Callable[[], bytes]) -> None:
        before_s = self._spent_s()
        try:
            body = make()
        except BaseException as error:
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.future.set_exception(error)
            raise
        with self._lock:
            entry.took_s = self._spent_s() - before_s
            entry.future.set_result(body)
            if self._entries.get(key) is entry:
                self._bytes += len(body)
            while self._bytes > self._most_bytes:
                self._forget(next(key for key, each in self._entries.items() if each.future.done()))

    def _forget(self, key: str) -> None:
        """Needs the lock. What is still being made is left to those who wait for it, and counts for nothing."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.future.done():
            self._bytes -= len(entry.future.result())
