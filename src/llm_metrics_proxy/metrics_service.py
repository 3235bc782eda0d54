"""What the numbers mean: the version of the formulas, the formulas, and the way from a record to a row.

Every row is stamped with the version whose formulas calculated it, so that when one changes, the rows before are
found and recomputed. A formula is frozen with its version: a change is a new entry in ``FORMULAS`` and a new MAJOR
version, never an edit.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import astuple

from llm_metrics_proxy.record import RequestRecord

APP_VERSION: Final = "2.2.0"


def _derive_2_0_0(record: RequestRecord) -> tuple[float | None, ...]:
    """``tokens_per_second``: all tokens, the prompt's too, over the whole response time."""
    tokens, duration_ms = record.total_tokens, record.response_time_ms
    if tokens is None or duration_ms is None or tokens <= 0 or not duration_ms > 0:
        return (None,)
    return (tokens * 1000 / duration_ms,)


# Each gives the values of ``record.DERIVED``, in that order, from raw facts alone.
FORMULAS: Final[dict[str, Callable[[RequestRecord], tuple[float | None, ...]]]] = {
    "2.0.0": _derive_2_0_0,
    "2.1.0": _derive_2_0_0,
    "2.2.0": _derive_2_0_0,
}

derive: Final = FORMULAS[APP_VERSION]


def to_row(record: RequestRecord) -> tuple[str | int | float | None, ...]:
    """Derive and stamp: the record's values in the order of ``record.COLUMNS`` without ``id``."""
    return (*astuple(record), *derive(record), APP_VERSION)
