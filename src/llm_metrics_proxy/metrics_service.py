"""What the numbers mean: the version of the formulas, the formulas, and the way from a record to a row.

Every row is stamped with the version whose formulas calculated it, so that when one changes, the rows before are
found and recomputed. A formula is frozen with its version: a change is a new entry in ``FORMULAS`` and a new MAJOR
version, never an edit.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import astuple

from llm_metrics_proxy.record import RAW_COLUMNS, RESTATED, RequestRecord
from llm_metrics_proxy.wire.error_taxonomy import Facts, Verdict, classify

APP_VERSION: Final = "3.0.0"

Derived = tuple[float | str | None, ...]
Priced = tuple[float | None, str | None]  # values of ``record.PRICED``
NOT_PRICED: Final[Priced] = (None, None)


_COMPLETED: Final = Verdict("completed")
_PLAIN_ENDS: Final = frozenset({None, "stop", "length", "tool_calls"})


def judge(record: RequestRecord) -> Verdict:
    """How the request ended, by the taxonomy of 3.0.0. The same again for a record that was ``settled``."""
    if record.outcome == "completed" and record.finish_reason in _PLAIN_ENDS:
        return _COMPLETED  # almost all: what ``classify`` would say
    return classify(Facts(*(getattr(record, name) for name in Facts._fields)))


def settle(record: RequestRecord) -> Verdict:
    """Put the verdict in the place of the exchange's own words, in the record itself."""
    verdict = judge(record)
    record.outcome, record.success, record.error_type = verdict.outcome, verdict.outcome == "completed", verdict.type
    return verdict


def _derive_2_0_0(record: RequestRecord) -> Derived:
    """``tokens_per_second``: all tokens, the prompt's too, over the whole response time."""
    tokens, duration_ms = record.total_tokens, record.response_time_ms
    if tokens is None or duration_ms is None or tokens <= 0 or not duration_ms > 0:
        return (None,)
    return (tokens * 1000 / duration_ms,)


def _derive_3_0_0(record: RequestRecord) -> Derived:
    """``tokens_per_second`` as before; category, phase, success, outcome and type by the taxonomy."""
    verdict = judge(record)
    success = verdict.outcome == "completed"
    return (*_derive_2_0_0(record), verdict.category, verdict.phase, success, verdict.outcome, verdict.type)


# Each gives the values of ``record.DERIVED`` and then of ``record.RESTATED``, in that order, as many as it knows.
FORMULAS: Final[dict[str, Callable[[RequestRecord], Derived]]] = {
    "2.0.0": _derive_2_0_0,
    "2.1.0": _derive_2_0_0,
    "2.2.0": _derive_2_0_0,
    "3.0.0": _derive_3_0_0,
}

derive: Final = FORMULAS[APP_VERSION]
_RESTATED_AT: Final = tuple(RAW_COLUMNS.index(name) for name in RESTATED)


def to_row(record: RequestRecord, priced: Priced = NOT_PRICED) -> tuple[str | int | float | None, ...]:
    """Derive, stamp and price: the record's values in the order of ``record.COLUMNS`` without ``id``."""
    raw = list(astuple(record))
    derived = derive(record)
    for place, value in zip(_RESTATED_AT, derived[-len(RESTATED) :], strict=True):
        raw[place] = value
    return (*raw, *derived[: -len(RESTATED)], APP_VERSION, *priced)
