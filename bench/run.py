"""How long and how often, and starting those subjects that can run here."""

import sys
from contextlib import ExitStack
from pathlib import Path

from bench.figures import Unavailable
from bench.subjects import Start, Subject


class Run:
    """One run of the program: its lengths, and what could not take part."""

    def __init__(self, seconds: float, pairs: int) -> None:
        self.seconds = seconds
        self.pairs = pairs
        self.missing: list[str] = []

    def say(self, words: str) -> None:
        """Progress, for a person who waits."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{words}")

    def note(self, words: str) -> None:
        """Something that could not run; told under the table, once."""
        if words not in self.missing:
            self.missing.append(words)

    def start(self, stack: ExitStack, folder: Path, upstream: int, first: Start, *peers: Start) -> list[Subject | None]:
        """``first`` must run; a peer that cannot is noted and ``None``."""
        self.say(f"starting {first.__name__} …")
        found: list[Subject | None] = [stack.enter_context(first(folder, upstream))]
        for peer in peers:
            self.say(f"starting {peer.__name__} …")
            try:
                found.append(stack.enter_context(peer(folder, upstream)))
            except Unavailable as reason:
                self.note(str(reason))
                found.append(None)
        return found
