"""Is a backend well? One small state machine per backend and worker. Pure: the time is passed in, in nanoseconds.

    WELL ──N failures in a row──▶ EJECTED ──an answer, to a probe or to a request──▶ WELL

A failure says that the server, or the way to it, is not there: it cannot be connected to, breaks off or never begins
to answer, or somebody in front of it says so (502, 503, 504). Any other answer, 500 and 429 included, comes from a
server that works and had something against this request.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.proxy.endings import Cause

AWAY_STATUSES: Final = frozenset({502, 503, 504})
AWAY_CAUSES: Final = frozenset(
    {
        Cause.DNS,
        Cause.CONNECT_REFUSED,
        Cause.CONNECT_FAILED,
        Cause.CONNECT_TIMEOUT,
        Cause.TLS,
        Cause.RESET,
        Cause.FIRST_BYTE_TIMEOUT,
        Cause.IDLE_TIMEOUT,
        Cause.PROTOCOL,
    }
)


class HealthTracker(msgspec.Struct):
    """What is known of one backend. Its ``Server`` is its only owner."""

    eject_after: int  # failures in a row
    probe_interval_ns: int
    failures: int = 0  # in a row
    failed_ns: int = 0
    ejected_ns: int = 0  # since when; 0: it is not
    next_probe_ns: int = 0
    ejections: int = 0  # so far
    last_error: str | None = None  # of the newest failure; kept when the backend is back, for people

    @property
    def ejected(self) -> bool:
        """Passed over as long as another one is well."""
        return self.ejected_ns != 0

    def failed(self, error: str, now: int) -> bool:
        """One more failure; true if it is the one that ejects the backend."""
        self.failures += 1
        self.failed_ns = now
        self.last_error = error
        if self.ejected_ns or self.failures < self.eject_after:
            return False
        self.ejected_ns = now
        self.ejections += 1
        self.next_probe_ns = now + self.probe_interval_ns
        return True

    def answered(self) -> bool:
        """It works; true if that ends an ejection."""
        was_ejected = self.ejected
        self.failures = self.ejected_ns = 0
        return was_ejected

    def probe_due(self, now: int) -> bool:
        """Whether to probe an ejected backend now; the next probe is due an interval later. Calling it counts."""
        if not self.ejected_ns or now < self.next_probe_ns:
            return False
        self.next_probe_ns = now + self.probe_interval_ns
        return True
