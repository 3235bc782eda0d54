"""The oracle of migrations that classify failures: ``wire.error_taxonomy``, given values as any file holds them.

Written apart from the SQL of ``failures``; the tables that both read are held against a list written a third time in
``tests/migration/failures_independently.py``. Values of the wrong type count as missing.
"""

from llm_metrics_proxy.migration.model import Oracle
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.wire.error_taxonomy import OutcomeFacts, classify, taxonomy_of


def _text(value: SqlValue) -> str | None:
    if type(value) is bytes or not isinstance(value, str | bytes):
        return None
    return value if isinstance(value, str) else str(value, "latin-1")  # text that is no Unicode, byte by byte


def _whole(value: SqlValue) -> int | None:
    return value if isinstance(value, int) else None


def _number(value: SqlValue) -> float | None:
    return value if isinstance(value, int | float) else None


def _truth(value: SqlValue) -> bool | None:
    return value != 0 if isinstance(value, int | float) else None


# How each of ``failures.INPUTS`` is read, in that order; the last three only keep what stood there before.
_READERS = (
    _text, _truth, _whole, _whole, _text, _text, _text, _text, _text, _text,
    _number, _number, _number, _number, _number, _number, _whole,
)  # fmt: skip


def oracle_of(version: str) -> Oracle:
    """Outcome, success, category, type, phase, what both words were before, and the reason of a missing type."""
    known = taxonomy_of(version)

    def oracle(*values: SqlValue) -> tuple[SqlValue, ...]:
        *stored, outcome_original, error_type_original, reason = values
        outcome, success, error_type = stored[0], stored[1], stored[4]
        facts = OutcomeFacts._make([read(value) for read, value in zip(_READERS, stored, strict=True)])
        found = classify(facts, known)
        return (
            found.outcome,
            success if success is not None else found.outcome == "completed",
            found.category,
            found.type,
            found.phase,
            outcome_original if outcome in {None, found.outcome} else outcome,
            error_type_original if error_type in {None, found.type} else error_type,
            found.reason or reason,
        )

    return oracle
