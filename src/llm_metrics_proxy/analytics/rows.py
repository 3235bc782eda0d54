"""Stored records as objects for JSON."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.filters import NO_VALUE
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY, literal

UNFIT: Final = "unfit_values"


def described(value: Any) -> str:
    """A stored word (a version, an outcome) as people and JSON keys see it."""
    return NO_VALUE if value is None else str(value)


def _as_is(value: Any) -> Any:
    """Of a column of any kind: a literal where JSON has no word for it."""
    return literal(value) if isinstance(value, bytes) or (isinstance(value, float) and not isfinite(value)) else value


_SHOWN_AS: Final[dict[str, Callable[[Any], Any]]] = {"flag": bool, "any": _as_is}  # by what a column holds


def _shown_as(name: str) -> Callable[[Any], Any] | None:
    return msgspec.json.decode if name == UNFIT else _SHOWN_AS.get(REGISTRY[name].kind.holds)


def items_of(columns: Sequence[str]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """What turns a row with the values of ``columns`` into an object for JSON; flags are ``bool``, and ``unfit_values``
    is an object: SQL literals by column."""
    converted = tuple((name, convert) for name in columns if (convert := _shown_as(name)) is not None)

    def item_of(row: Sequence[Any]) -> dict[str, Any]:
        shown = dict(zip(columns, row, strict=True))
        for name, convert in converted:
            if shown[name] is not None:
                shown[name] = convert(shown[name])
        return shown

    return item_of


item: Final = items_of(ALL_COLUMNS)  # a whole record, as the API shows it
