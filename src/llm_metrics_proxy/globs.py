"""Patterns for names of models, as shells write them: ``llama3*``, ``gpt-4?``, ``[a-m]*``. Pure."""

import re
from functools import lru_cache


@lru_cache(maxsize=4096)
def matches(glob: str, model: str) -> bool:
    """Does a model's name fit? ``*``: any run of characters, ``?``: one, ``[a-c]`` and ``[!a-c]``: one of a set."""
    return glob_pattern(glob).fullmatch(model) is not None


@lru_cache(maxsize=1024)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression; case counts, and ``/`` is a character like others. Raises ``ValueError``."""
    parts, at = [], 0
    while at < len(glob):
        char = glob[at]
        at += 1
        if char == "*":
            parts.append(".*")
        elif char == "?":
            parts.append(".")
        elif char == "[":
            end = glob.find("]", at + 2 if glob[at : at + 1] == "!" else at + 1)
            if end < 0:
                raise ValueError(f"{glob!r} has a [ without its ]")
            negated = glob[at] == "!"
            inside = re.sub(r"([\\[^&|~])", r"\\\1", glob[at + negated : end])
            parts.append(f"[{'^' if negated else ''}{inside}]")
            at = end + 1
        else:
            parts.append(re.escape(char))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise ValueError(f"{glob!r} is not a pattern: {error}") from None
