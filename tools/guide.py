"""Pages whose code blocks are applied to the sources, so that what they show works as it stands.

A block is applied where the comment before it says: ``<!-- apply to FILE, replace: PATTERN -->``, or ``before``,
``before the first`` (of several places) and ``at the end``. The pattern is a regular expression for one line.
"""

import re
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(
    r"(?:^<!-- apply to (?P<file>\S+), (?P<where>replace|before the first|before|at the end)"
    r"(?:: (?P<pattern>[^\n]+?))? -->\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Edit(NamedTuple):
    """A block that goes into a file, and the page's text before it."""

    file: str
    where: str
    pattern: str
    text: str
    prose: str


def edits(page: str) -> list[Edit]:
    """Every block that is applied, in order."""
    return [
        Edit(found["file"], found["where"], found["pattern"] or "", found["text"], page[: found.start()])
        for found in _BLOCK.finditer(page)
        if found["file"]
    ]


def blocks(page: str, language: str = "sh") -> list[str]:
    """Every block of a language that is not applied, in order: commands, or Python to run."""
    return [found["text"] for found in _BLOCK.finditer(page) if found["language"] == language and not found["file"]]


def applied(text: str, edit: Edit) -> str:
    """A file's text after the edit. Raises ``ValueError`` if the place is missing or not unique."""
    if edit.where == "at the end":
        return text + edit.text
    places = list(re.finditer(edit.pattern, text, re.MULTILINE))
    if not places or (len(places) > 1 and edit.where != "before the first"):
        raise ValueError(f"{edit.file} has {len(places)} places like {edit.pattern}")
    start, end = places[0].span()
    if edit.where == "replace":
        return text[:start] + edit.text.removesuffix("\n") + text[end:]
    return text[:start] + edit.text + text[start:]
