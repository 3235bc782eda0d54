"""What is asked of one server when: a state machine without a clock. Pure.

A page that answered is asked every interval, one at a time. One that the server does not have is asked again rarely. If
the server does not answer at all, one question finds out whether it is back, at growing distances; then everything is
asked anew, for it may have been started with other options.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from llm_metrics_proxy.servers.pages import ServerPage

RARELY_S: Final = 600.0  # a page that is not there
SELDOM_S: Final = 60.0  # a page whose words hardly change
LONGEST_BACKOFF_S: Final = 120.0
_MOST_DOUBLINGS: Final = 10


class Heard(StrEnum):
    """Of a question."""

    TOLD = "told"
    ABSENT = "absent"  # an answer, but none that says anything
    REFUSED = "refused"  # 401 or 403: it is there, and wants a key
    TROUBLE = "trouble"  # 429 or 503, as while a model is loaded
    BROKEN = "broken"  # no answer in time


class _PageState(NamedTuple):
    outcome: Heard | None = None
    next_s: float = 0.0


class AskingSchedule:
    """For one server; ``now`` is any clock that only moves on, in seconds."""

    def __init__(self, pages: tuple[ServerPage, ...], interval_s: float) -> None:
        self._pages, self._interval_s = pages, interval_s
        self._states = {page.path: _PageState() for page in pages}
        self._failures = 0
        self._retry_s = 0.0
        self.program = ""

    def __repr__(self) -> str:
        return f"<AskingSchedule {self.program or 'unknown'}, {self._failures} failures, {self._states}>"

    def due(self, now: float) -> list[ServerPage]:
        """What is to be asked now, in order; ask ``wants`` before each, for an answer changes what makes sense."""
        if self._failures:
            return [self._first()] if now >= self._retry_s else []
        return [page for page in self._pages if self.wants(page, now)]

    def wants(self, page: ServerPage, now: float) -> bool:
        """Whether it is this page's time, and the page may be this program's."""
        if self._failures or now < self._states[page.path].next_s:
            return False
        told = self._states[page.path].outcome is Heard.TOLD
        return told or not self.program or self.program in page.programs

    def heard(self, page: ServerPage, outcome: Heard, program: str, now: float) -> None:
        """What came of it; ``program``: who it is, by this page."""
        if outcome is Heard.BROKEN:
            self._failures += 1
            doublings = min(self._failures - 1, _MOST_DOUBLINGS)
            self._retry_s = now + min(self._interval_s * 2**doublings, max(LONGEST_BACKOFF_S, self._interval_s))
            return
        if self._failures:
            self._failures, self.program = 0, ""
            self._states = {other.path: _PageState() for other in self._pages}
        if outcome is Heard.TOLD:
            self.program = program or self.program
            wait_s = max(SELDOM_S, self._interval_s) if page.rarely else self._interval_s
        else:
            wait_s = max(SELDOM_S if outcome is Heard.TROUBLE else RARELY_S, self._interval_s)
        # a little early, so that a round that begins on time finds it due
        self._states[page.path] = _PageState(outcome, now + wait_s - self._interval_s / 4)
        if program and outcome is Heard.TOLD:
            self._forget_others()

    @property
    def is_silent(self) -> bool:
        """Whether the last question was not answered."""
        return self._failures > 0

    @property
    def retry_s(self) -> float:
        """When it is asked again, while it is silent."""
        return self._retry_s

    @property
    def wants_key(self) -> bool:
        """Whether a page refused, and none told anything."""
        outcomes = {state.outcome for state in self._states.values()}
        return Heard.REFUSED in outcomes and Heard.TOLD not in outcomes

    def outcome(self, path: str) -> Heard | None:
        """Of the last question for a page; none: it was not asked."""
        return self._states[path].outcome if path in self._states else None

    def _first(self) -> ServerPage:
        told = (page for page in self._pages if self._states[page.path].outcome is Heard.TOLD)
        return next(told, self._pages[0])

    def _forget_others(self) -> None:
        """What another program's page once said counts no more: the server was exchanged for another one."""
        for page in self._pages:
            if page.programs and self.program not in page.programs:
                self._states[page.path] = _PageState()
