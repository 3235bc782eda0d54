"""Conversations of simulated clients: sessions whose context grows turn by turn, some with a subagent."""

from random import Random
from typing import Any, Final, NamedTuple

WORD: Final = "word "
_MOST_OPEN: Final = 6  # of one kind of client
_GOES_ON: Final = 0.85  # else somebody begins a new one
_SUBAGENT: Final = 0.25


class Turn(NamedTuple):
    """What one request of a conversation says; ``agent``: which subagent asks, none: the session's own."""

    session: str
    user: str
    agent: str | None
    messages: list[dict[str, str]]


class _Open:
    """One conversation: its threads by agent."""

    def __init__(self, random: Random, system_words: int) -> None:
        self.session = f"demo-{random.getrandbits(48):012x}"
        self.user = f"demo-user-{random.randint(1, 12)}"
        self.system = {"role": "system", "content": "You are simulated. " + WORD * system_words}
        self.threads: dict[str | None, list[dict[str, str]]] = {}

    def said(self, random: Random, agent: str | None, words: int) -> list[dict[str, str]]:
        """The thread with one more question."""
        thread = self.threads.setdefault(agent, [self.system])
        if len(thread) > 1:
            answer = WORD * max(1, round(random.lognormvariate(0, 0.5) * 90))
            thread.append({"role": "assistant", "content": answer})
        thread.append({"role": "user", "content": f"{self.session} {len(thread)} {WORD * words}"})
        return list(thread)

    @property
    def chars(self) -> int:
        """Of the longest thread."""
        return max((sum(len(one["content"]) for one in thread) for thread in self.threads.values()), default=0)


class Conversations:
    """Those that are open, by kind of client. One that has grown to ``most_chars`` is over."""

    def __init__(self) -> None:
        self._open: dict[Any, list[_Open]] = {}

    def turn(self, random: Random, kind: str, words: int, *, system_words: int, most_chars: int, agents: bool) -> Turn:
        """The next request of a client of this kind."""
        there = [one for one in self._open.get(kind, []) if one.chars < most_chars]
        if not there or (len(there) < _MOST_OPEN and random.random() >= _GOES_ON):
            there.append(_Open(random, system_words))
        self._open[kind] = there
        chosen = random.choice(there)
        agent = f"{chosen.session}-review" if agents and chosen.threads and random.random() < _SUBAGENT else None
        return Turn(chosen.session, chosen.user, agent, chosen.said(random, agent, words))
