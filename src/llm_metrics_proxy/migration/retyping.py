"""What a migration makes of the errors: each type of before with the category and type that it becomes, counted.

Over every record that the migration takes, from values as they are now; so only a migration whose inputs no earlier
one of the chain changes can be counted.
"""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from llm_metrics_proxy.migration.model import Migration
from llm_metrics_proxy.migration.preview import with_all

CATEGORY: Final = "error_category"
TYPE: Final = "error_type"
MOST_ROWS: Final = 1000  # another program's file may hold any texts there; the most frequent ones suffice


class Retyped(msgspec.Struct, frozen=True):
    """``records`` that had the error type ``before`` and get ``category`` and ``type``; ``None`` means no type."""

    before: str | None
    category: str | None
    type: str | None
    records: int


def count_types(
    source: apsw.Connection, migration: Migration, takes: str, columns: Sequence[str]
) -> tuple[Retyped, ...]:
    """The most frequent first; records without an error before and after are left out.

    ``takes`` is SQL over a record with all ``columns``. Nothing if the migration does not set both. Raises
    ``apsw.Error``.
    """
    becomes = {change.column: migration.evaluated(change.expression) for change in migration.changes}
    if not {CATEGORY, TYPE} <= becomes.keys():
        return ()
    # As bytes: text of a foreign file may not be Unicode. Other types than text count as missing.
    before = f"CASE WHEN typeof({TYPE}) = 'text' THEN CAST({TYPE} AS BLOB) END"
    statement = (
        f"SELECT before, category, type, count(*) FROM (SELECT {before} AS before, {becomes[CATEGORY]} AS category, "  # noqa: S608 -- ours
        f"{becomes[TYPE]} AS type FROM {with_all(source, columns)} WHERE {takes}) "
        f"WHERE before IS NOT NULL OR type IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT {MOST_ROWS}"
    )
    encoding = str(source.pragma("encoding"))
    return tuple(
        Retyped(None if before is None else before.decode(encoding, errors="replace"), category, kind, records)
        for before, category, kind, records in source.execute(statement)
    )
