"""When tokens came in a session of several responses. Pure; times are monotonic nanoseconds.

A client opens a session before it knows what to ask, and thinks between two responses: so nothing is counted from the
handshake. The time to the first token is that of the first response that brought any, counted from the message that
asked for it. The other responses follow it as if the first tokens of each had come with the last ones before: so the
time between the first and the last token is the time in which tokens came, and speeds are those of generation.
"""

from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.base import SAW_ERROR, SAW_OUTPUT, SAW_TERMINAL, SAW_TOKEN


class SessionTimes:
    """Of one session."""

    __slots__ = ("_asked", "_first", "_gap", "_now", "_output", "_reads", "_seen")

    def __init__(self) -> None:
        self._asked = 0  # when the client's newest message came
        self._seen = 0  # when tokens of the current response came last; 0: none did
        self._now = 0  # how long tokens took so far
        self._first: int | None = None
        self._output: int | None = None
        self._gap = 0
        self._reads = 0  # that brought tokens

    def asked(self, at: int) -> None:
        """The client said something."""
        self._asked = at

    def saw(self, bits: int, at: int) -> None:
        """What the server sent showed these ``SAW_*``."""
        if bits & SAW_TOKEN:
            self._reads += 1
            if self._first is None:
                self._first = self._now = at - self._asked if self._asked else 0
            elif self._seen:
                gap = at - self._seen
                self._now += gap
                self._gap = max(self._gap, gap)
            self._seen = at
            if self._output is None and bits & SAW_OUTPUT:
                self._output = self._now
        if bits & (SAW_TERMINAL | SAW_ERROR):
            self._seen = 0

    def describe(self, record: RequestRecord) -> None:
        """Into the record."""
        record.time_to_first_token_ms = _ms(self._first)
        record.time_to_first_output_ms = _ms(self._output)
        record.time_to_last_token_ms = None if self._first is None else _ms(self._now)
        record.inter_chunk_max_ms = _ms(self._gap) if self._reads > 1 else None


def _ms(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds // 1000 / 1000
