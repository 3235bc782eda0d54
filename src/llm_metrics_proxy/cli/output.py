"""What verbs print with: Rich on a terminal, plain text in a pipe, and a quiet end when nobody reads on."""

import signal
import sys
from typing import Any, Final

import msgspec
from rich.console import Console

MISSING: Final = "-"  # never 0
_PIPE_COLUMNS: Final = 400


def console() -> Console:
    """Standard output. In a pipe there are no colours, and lines are as long as what they say."""
    width = None if sys.stdout.isatty() else _PIPE_COLUMNS
    return Console(highlight=False, emoji=False, width=width)


def end_quietly_when_the_pipe_closes() -> None:
    """As filters do: ``llm-metrics-proxy requests | head`` ends by SIGPIPE. Not for verbs that talk to the network."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def print_json(value: Any, *, indent: int = 2) -> None:
    """One JSON document on standard output; with ``indent`` 0 on one line."""
    text = msgspec.json.encode(value)
    sys.stdout.buffer.write((msgspec.json.format(text, indent=indent) if indent else text) + b"\n")
    sys.stdout.buffer.flush()


def plain(value: object) -> str:
    """A cell of a table. Models and error types come from outside: none of them is markup or moves the cursor."""
    if value is None:
        return MISSING
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)).replace(
        "[", r"\["
    )
