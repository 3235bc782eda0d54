"""Suggestions for a mistyped name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_SHOWN_CHARS: Final = 64  # of the name, which may be anything


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One sentence: it does not exist, and the closest names, or all of them."""
    names = list(known)
    close = get_close_matches(name[:_SHOWN_CHARS].lower(), names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(names)}"
    return f"there is no {kind} {name[:_SHOWN_CHARS]!r}; {hint}"
