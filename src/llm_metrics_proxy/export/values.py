"""Values that files have other words for than a store."""

from collections.abc import Sequence
from typing import Any, Final

from llm_metrics_proxy.record import literal

_FLAGS: Final[dict[Any, bool | None]] = {0: False, 1: True, None: None}


def flags(values: Sequence[int | None]) -> list[bool | None]:
    """Stored as 0 and 1."""
    return [_FLAGS[value] for value in values]


def texts(values: Sequence[Any]) -> list[str | None]:
    """Of a column of any kind, which has what was first stored: text as it is, all else as SQL writes it."""
    return [value if value is None or isinstance(value, str) else literal(value) for value in values]
