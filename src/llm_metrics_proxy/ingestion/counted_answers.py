"""An answer's tokens are counted once, however many records report them.

A server that makes an answer in the background, or keeps it, reports its usage to each request that fetches it. Each of
these records shows what was reported; the first in which it was reported counts, and every other gets the
``usage_source`` ``repeated``, which all sums leave out. Which is the first is decided here, by the one thread that
stores records, from the ids of answers that the database has.

Only records of these dialects are looked at. A stored chat completion was answered, and reported, when it was asked
for: so a record that fetches one never counts.
"""

from hashlib import blake2b
from typing import Final, Protocol

from llm_metrics_proxy.record import RequestRecord, UsageSource, is_fetch
from llm_metrics_proxy.storage.base import CountedAnswer

_MAKES_ANSWERS: Final = frozenset({"openai_responses", "openai_responses_websocket"})
_REPORTED_BEFORE: Final = frozenset({"openai_chat_fetch"})
_REPORTED: Final = frozenset({UsageSource.REPORTED, UsageSource.REPEATED})
_MOST_FETCHED: Final = 10_000


class AnswerMemory(Protocol):
    """What is needed of ``storage.base.Store``."""

    def is_answer_counted(self, answer: int, timestamp: str) -> bool:
        """Whether a record of the days before that time counted it."""

    def fetched_answers(self, most: int) -> list[tuple[int, str]]:
        """The newest that were counted when they were fetched, with that time."""


class CountedAnswers:
    """``judge`` each record of a transaction, store ``new``, and ``confirm`` or ``forget``."""

    def __init__(self, memory: AnswerMemory) -> None:
        self.new: dict[int, CountedAnswer] = {}
        self._memory = memory
        self._fetched: dict[int, str] | None = None  # newest last; None: not read yet

    def judge(self, record: RequestRecord) -> None:
        """Set ``usage_source``, if the record may report what another one did."""
        if record.dialect in _MAKES_ANSWERS:
            by_fetch = False
        elif is_fetch(record):
            by_fetch = True
        else:
            return
        if record.usage_source not in _REPORTED or record.response_id is None:
            return
        answer = number_of(record.response_id)
        before = self._is_counted(answer, record) if by_fetch else self._was_fetched_meanwhile(answer, record)
        record.usage_source = UsageSource.REPEATED if before else UsageSource.REPORTED
        if not before:
            self.new[answer] = CountedAnswer(answer, record.timestamp, by_fetch)

    def confirm(self) -> None:
        """What is new is stored."""
        fetched = self._known_fetched()
        for answer, timestamp, by_fetch in self.new.values():
            if by_fetch:
                fetched[answer] = timestamp
        for answer in list(fetched)[: max(len(fetched) - _MOST_FETCHED, 0)]:
            del fetched[answer]
        self.new = {}

    def forget(self) -> None:
        """It is not, or that is unknown."""
        self.new, self._fetched = {}, None

    def _is_counted(self, answer: int, record: RequestRecord) -> bool:
        if record.dialect in _REPORTED_BEFORE or answer in self.new:
            return True
        return self._memory.is_answer_counted(answer, record.timestamp)

    def _was_fetched_meanwhile(self, answer: int, record: RequestRecord) -> bool:
        """The answer came to an end while it was streamed to this request, and another one fetched it before this one
        ended. One that was fetched before this request began is another answer, whose id a server used again."""
        new = self.new.get(answer)
        fetched_at = new.timestamp if new is not None and new.by_fetch else self._known_fetched().get(answer)
        return fetched_at is not None and record.timestamp < fetched_at

    def _known_fetched(self) -> dict[int, str]:
        if self._fetched is None:
            self._fetched = dict(reversed(self._memory.fetched_answers(_MOST_FETCHED)))
        return self._fetched


def number_of(response_id: str) -> int:
    """64 bits of an id, as SQLite holds them."""
    return int.from_bytes(blake2b(response_id.encode(errors="replace"), digest_size=8).digest(), "big", signed=True)
