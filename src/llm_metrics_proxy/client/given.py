"""Arguments as callers give them, of the types that they should have: ``QueryError`` names the one that has not."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llm_metrics_proxy.analytics.conditions import Value
from llm_metrics_proxy.errors import QueryError

_NO_UTF8: Final = re.compile("[\ud800-\udfff]")


def text(name: str, given: Any) -> str:
    """One text that can be sent."""
    if not isinstance(given, str):
        raise QueryError(name, f"{name}: give text instead of {type(given).__name__}")
    check_unicode(name, given)
    return given


def check_unicode(name: str, given: Any) -> None:
    """Of text, whether it can be sent."""
    if isinstance(given, str) and _NO_UTF8.search(given):
        raise QueryError(name, f"{name}: this has half of a character (a lone surrogate): give text that is Unicode")


def texts(name: str, given: Any) -> list[str]:
    """One text, or several of them."""
    found = _several(given)
    if not all(isinstance(one, str) for one in found):
        wrong = next(type(one).__name__ for one in found if not isinstance(one, str))
        raise QueryError(name, f"{name}: give text, or a list of texts, instead of {wrong}")
    return found


def joined(name: str, given: Any) -> str:
    """Names as the API takes a list of them."""
    return ",".join(texts(name, given))


def values(name: str, given: Any) -> tuple[Value, ...]:
    """One value of a column, or several of which any will do."""
    found = _several(given)
    for one in found:
        if one is not None and not isinstance(one, str | int | float):
            kind = type(one).__name__
            raise QueryError(name, f"{name}: give text, a number, True, False, None or a list of those, not {kind}")
    return tuple(found)


def attempts(given: Any) -> int:
    """How often what passes by itself is tried."""
    if not isinstance(given, int):
        raise QueryError("attempts", "attempts: give a whole number; with 1 nothing is tried again")
    return given


def _several(given: Any) -> list[Any]:
    one = isinstance(given, str | bytes | bytearray | Mapping) or not isinstance(given, Iterable)
    return [given] if one else list(given)
