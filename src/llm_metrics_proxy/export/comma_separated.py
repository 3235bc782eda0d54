"""CSV as RFC 4180 has it: a header, CRLF at the end of each record, quotes doubled inside quotes; UTF-8, and no
byte-order mark unless ``ExportQuery.bom`` asks for one.

Two things the RFC leaves open:

* A missing value is nothing between two commas; an empty text is a pair of quotes. (Python's own writer distinguishes
  them from 3.12 on only.)
* Spreadsheets take a cell that begins with ``= + - @``, a tab or a line break for a formula, also inside quotes and
  after blanks, and models, origins and error messages are texts that strangers choose. These texts get an apostrophe
  in front, and so does one that would look like the result: taking one apostrophe off every cell that ``GUARDED``
  matches gives back exactly what is stored. Numbers are never touched. The other formats hold texts as they are.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from llm_metrics_proxy.export.encoder import Encoder
from llm_metrics_proxy.export.values import texts
from llm_metrics_proxy.record import REGISTRY

# What is invisible, or is stripped, before a cell is interpreted: controls, spaces of all widths, marks of direction.
_BLANK: Final = "\\0-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff"
# The last nine are a minus sign of its own, and small and full-width forms, which some spreadsheets read alike.
_STARTS: Final = "=+\\-@\\t\\r\\n\\u2212\\ufe62\\ufe63\\ufe66\\ufe6b\\uff1d\\uff0b\\uff0d\\uff20"
_DANGEROUS: Final = re.compile(f"[{_BLANK}'\"]*[{_STARTS}]")
GUARDED: Final = re.compile(f"'{_DANGEROUS.pattern}")
_NEEDS_QUOTES: Final = re.compile(f'[",\\r\\n]|^$|^[{_BLANK}]|[{_BLANK}]\\Z')


def text_cell(text: str) -> str:
    """A text as a cell."""
    if _DANGEROUS.match(text):
        text = f"'{text}"
    if _NEEDS_QUOTES.search(text):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _cells(values: Sequence[Any], cell: Callable[[Any], str]) -> list[str]:
    """Most texts are the same few over and over, so each is written once per page."""
    written = {value: cell(value) for value in set(values) if value is not None}
    written[None] = ""
    return [written[value] for value in values]


def _numbers(values: Sequence[Any]) -> list[str]:
    """The shortest digits that give the same number back."""
    return ["" if value is None else repr(value) for value in values]


_FLAGS: Final = {1: "true", 0: "false", None: ""}


class CommaSeparated(Encoder):
    """One line for the names of the columns, then one for each record."""

    def head(self) -> bytes:
        """The names of the columns."""
        return ",".join(self.names).encode() + b"\r\n"

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """One line per row, unless a text has line breaks."""
        if not rows:
            return b""
        cells = []
        for name, stored in zip(self.names, zip(*rows, strict=True), strict=True):
            holds = REGISTRY[name].kind.holds
            if holds == "flag":
                cells.append([_FLAGS[value] for value in stored])
            elif holds in ("integer", "number"):
                cells.append(_numbers(stored))
            else:
                cells.append(_cells(texts(stored) if holds == "any" else stored, text_cell))
        lines = [",".join(line) for line in zip(*cells, strict=True)]
        return "\r\n".join(lines).encode() + b"\r\n"
