"""What a script is made of: plain values that a ``Conversation`` carries out one after the other."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Send:
    """Write ``data``: at once, or ``cut`` bytes at a time with ``pause_s`` after each piece."""

    data: bytes
    cut: int | None = None
    pause_s: float = 0.0


@dataclass(frozen=True)
class Pause:
    """Wait; the script ends early if the client leaves."""

    seconds: float


@dataclass(frozen=True)
class Stall:
    """Keep the connection open and silent until the client leaves."""


class Gate:
    """Holds a script until the test lets it go on; ``reached`` tells the test that the script is there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait(self) -> "WaitFor":
        """The step."""
        return WaitFor(self)

    def open(self) -> None:
        """Let every script that waits here go on."""
        self.opened.set()


@dataclass(frozen=True)
class WaitFor:
    """Wait until the test opens the gate."""

    gate: Gate


@dataclass(frozen=True)
class ReadBody:
    """Read the request's body, up to ``limit`` raw bytes of it, ``piece`` at a time."""

    limit: int | None = None
    piece: int = 65536
    pause_s: float = 0.0


@dataclass(frozen=True)
class Receive:
    """Read exactly ``count`` raw bytes."""

    count: int


@dataclass(frozen=True)
class Echo:
    """Send back what comes until the client ends its side."""


@dataclass(frozen=True)
class HalfClose:
    """FIN, and go on reading."""


@dataclass(frozen=True)
class Close:
    """FIN."""


@dataclass(frozen=True)
class Reset:
    """RST."""


Step = Send | Pause | Stall | WaitFor | ReadBody | Receive | Echo | HalfClose | Close | Reset
Script = Sequence[Step]
