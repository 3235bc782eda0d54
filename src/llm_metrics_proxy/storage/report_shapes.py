"""What servers reported of their usage, kept in few bytes: JSON apart from its numbers is nearly always the same.

Such a shape is stored once, in ``usage_shapes``, and a record has its number and the numbers that stood in it, as in
``~7:1234,345,1579``. A shape gets its number when it comes for the second time, so that what comes once costs no row;
there are at most ``MOST_SHAPES`` of them. Any other report is stored as it is: it begins with a brace.

A new shape is written in the transaction that stores the first record of it, and never changed or removed. The store
shortens each report before it binds it. Who reads the column takes ``base.SHORTENED`` for it, whose SQL function
``report_text`` this file offers to every connection; all other columns cost what they did.
"""

import re
from typing import Any, Final

import apsw

TABLE: Final = "usage_shapes"
MOST_SHAPES: Final = 4096
_MOST_MET: Final = 1024
_BEFORE_NUMBER, _DIGITS = '":', "([0-9][0-9.eE+-]*)"  # negative ones and those in lists stay in the shape
_NUMBER: Final = re.compile(_BEFORE_NUMBER + _DIGITS)
_ALIKE: Final = 24  # characters at the beginning, by which the last shape of a server is found
_MOST_MATCHERS: Final = 64  # other shapes are found as well, at twice the cost
_SIGN: Final = "~"
_GAP: Final = "\x00"  # stands in no JSON text


class ReportShapes:
    """Those of one database, as one connection sees it."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._parts: dict[str, list[str]] = {}  # by number, as it is written
        self._numbers: dict[str, str] | None = None  # by shape; None: not read yet
        self._new: list[tuple[int, str]] = []
        self._met: set[str] = set()  # once
        self._matchers: dict[str, re.Pattern[str]] = {}  # by number
        self._last: dict[str, tuple[str, re.Pattern[str]]] = {}  # what is written before the numbers; by the beginning

    def text(self, stored: Any) -> Any:
        """The report that was stored; whatever is no shortened one is as it is."""
        if not isinstance(stored, str) or not stored.startswith(_SIGN):
            return stored
        number, _, given = stored[1:].partition(":")
        parts = self._parts.get(number) or self._read(number)
        numbers = given.split(",") if given else []
        if parts is None or len(parts) != len(numbers) + 1:
            return stored
        both = [*parts, *numbers]
        both[::2], both[1::2] = parts, numbers
        return "".join(both)

    def function(self) -> None:
        """Offer ``text`` to the connection's SQL."""
        self._connection.create_scalar_function(
            "report_text", lambda *given: self.text(given[0]), 1, deterministic=True
        )

    def stored(self, text: Any) -> Any:
        """What is stored for a report; call ``save`` before the transaction ends."""
        if not isinstance(text, str):
            return text
        last = self._last.get(text[:_ALIKE])
        if last is not None and (found := last[1].fullmatch(text)) is not None:
            return last[0] + ",".join(found.groups())
        if not text.startswith("{"):
            return text
        parts = _NUMBER.split(text)
        shape, numbers = _GAP.join(parts[::2]), self._numbers
        if numbers is None:
            numbers = self._numbers = self._all()
        number = numbers.get(shape) or self._met_again(shape)
        if number is None:
            return text
        self._remember(text[:_ALIKE], number, parts[::2])
        return f"{_SIGN}{number}:{','.join(parts[1::2])}"

    def save(self) -> None:
        """Write the shapes that are new."""
        if self._new:
            self._connection.executemany("INSERT INTO main.usage_shapes (id, shape) VALUES (?, ?)", self._new)
            self._new.clear()

    def forget(self) -> None:
        """The transaction was taken back, perhaps with new shapes in it."""
        self._numbers = None
        self._new.clear()
        self._parts.clear()
        self._matchers.clear()
        self._last.clear()

    def _remember(self, beginning: str, number: str, parts: list[str]) -> None:
        matcher = self._matchers.get(number)
        if matcher is None:
            if len(self._matchers) >= _MOST_MATCHERS:
                return
            matcher = re.compile((_BEFORE_NUMBER + _DIGITS).join(map(re.escape, parts)))
            self._matchers[number] = matcher
        self._last[beginning] = f"{_SIGN}{number}:", matcher

    def _met_again(self, shape: str) -> str | None:
        numbers = self._numbers or {}
        if len(numbers) >= MOST_SHAPES or _GAP not in shape:
            return None
        if shape not in self._met:
            if len(self._met) >= _MOST_MET:
                self._met.clear()
            self._met.add(shape)
            return None
        self._met.discard(shape)
        number = len(numbers) + 1
        self._new.append((number, shape))
        numbers[shape] = str(number)
        self._numbers = numbers
        return numbers[shape]

    def _all(self) -> dict[str, str]:
        return {shape: str(number) for number, shape in self._connection.execute("SELECT id, shape FROM usage_shapes")}

    def _read(self, number: str) -> list[str] | None:
        try:
            row = next(self._connection.execute("SELECT shape FROM main.usage_shapes WHERE id = ?", (number,)), None)
        except apsw.SQLError:
            return None  # a file of another program has no such table
        if row is None:
            return None
        *before, end = str(row[0]).split(_GAP)
        parts = self._parts[number] = [*(f'{each}":' for each in before), end]
        return parts
