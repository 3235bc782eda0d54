"""How long and how often, who takes part, and whose turn it is."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

from bench.figures import Unavailable
from bench.peers import ours
from bench.peers.peer import Peer, Subject, start
from bench.processes import machine_s, own_s

T = TypeVar("T")

_SLOW_TURNS: Final = 2  # a ratio of hundreds needs no more


class Run:
    """One run of the program: its lengths, its peers, and what could not take part."""

    def __init__(self, seconds: float, pairs: int, peers: Sequence[Peer]) -> None:
        self.seconds = seconds
        self.pairs = pairs
        self.peers = peers
        self._peers = {peer.name for peer in peers}
        self.missing: list[str] = []
        self._since = (time.monotonic(), machine_s() - own_s())

    def say(self, words: str) -> None:
        """Progress, for a person who waits."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{words}")

    def note(self, words: str) -> None:
        """Something that could not run; told under the table, once."""
        if words not in self.missing:
            self.missing.append(words)

    def start(
        self, stack: ExitStack, folder: Path, upstream: int, *, streams: bool = False, slow: bool = False
    ) -> list[Subject]:
        """Ours, which must run, and all peers that can; who cannot is noted. ``slow``: with those that are."""
        self.say("starting ours …")
        found = [stack.enter_context(ours.start(folder, upstream))]
        for peer in self.peers:
            if peer.is_slow and not slow:
                continue
            self.say(f"starting {peer.name} …")
            try:
                found.append(stack.enter_context(start(peer, folder, upstream, streams=streams)))
            except Unavailable as reason:
                self.note(str(reason))
        return found

    def turns(
        self, what: str, subjects: Sequence[Subject], measure: Callable[[Subject], T], pairs: int | None = None
    ) -> dict[str, list[T | None]]:
        """Measure each subject ``pairs`` times; by name, one value a turn, ``None`` once a peer failed, which is noted.

        Every other turn goes backwards, so that a machine that becomes slower or faster meanwhile does it to all alike.
        """
        seen: dict[str, list[T | None]] = {subject.name: [] for subject in subjects}
        failed: set[str] = set()
        pairs = pairs or self.pairs
        for turn in range(pairs):
            for subject in subjects if turn % 2 == 0 else reversed(subjects):
                if subject.name in failed or (subject.is_slow and turn >= _SLOW_TURNS):
                    seen[subject.name].append(None)
                    continue
                self.say(f"{what}, turn {turn + 1} of {pairs}: {subject.name}")
                subject.place()
                try:
                    seen[subject.name].append(measure(subject))
                except (AssertionError, OSError, subprocess.SubprocessError) as fault:
                    if subject.name not in self._peers:
                        raise
                    failed.add(subject.name)
                    seen[subject.name].append(None)
                    self.note(f"{what}: {subject.name} failed: {fault!r}")
        return seen

    def others_cores(self) -> float:
        """Cores that other programs, or this machine's host, had since the beginning: how disturbed it was.

        To be asked when all that was started has ended.
        """
        since_s, others_s = self._since
        return max(0.0, machine_s() - own_s() - others_s) / (time.monotonic() - since_s)


def machine() -> str:
    """The processors, for a table's title."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores{', ' + models[0].partition(': ')[2] if models else ''}"
