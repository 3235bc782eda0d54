"""Which numbers of a record are rolled up, and by which of its words: the rows of ``record`` that say so.

A value that is not a finite number (for tokens and bytes, not a whole number) is missing.
"""

from typing import Final, NamedTuple

from llm_metrics_proxy.columns import MEASURED
from llm_metrics_proxy.record import REGISTRY


class Field(NamedTuple):
    """``number`` is stored (``banks``) and stays. ``whole``: its values and their sum are integers."""

    number: int
    name: str
    whole: bool = False

    @property
    def sql(self) -> str:
        """The value of one record, or NULL where it is missing."""
        return REGISTRY[self.name].sql


_ROWS: Final = sorted(
    ((column.rolled_up, column) for column in REGISTRY.values() if column.rolled_up is not None),
    key=lambda row: row[0].number,
)
FIELDS: Final = tuple(Field(at.number, row.name, row.kind.holds == "integer") for at, row in _ROWS)
BY_NAME: Final = {field.name: field for field in FIELDS}
ALL: Final = tuple(field.number for field in FIELDS)
WHOLE: Final = frozenset(field.number for field in FIELDS if field.whole)

# Kept by model, server, client …; all others for the total alone.
LATENCIES: Final = tuple(at.number for at, row in _ROWS if at.by != "total" and row.kind in MEASURED)
SUMS: Final = tuple(at.number for at, row in _ROWS if at.by != "total" and row.kind not in MEASURED)
MAIN: Final = LATENCIES + SUMS
# Kept by client too, of whom there may be thousands.
FEW: Final = tuple(at.number for at, _ in _ROWS if at.by == "client")

_GROUPED: Final = [column for column in REGISTRY.values() if column.group is not None and column.group.in_rollups]
# Dimension -> SQL of one record's key.
KEYS: Final = {column.group_name: column.sql for column in _GROUPED}
# Filter -> the dimension whose key has its value.
KEY_OF_FILTER: Final = {column.filter_name: column.group_name for column in _GROUPED if column.filter is not None}

# A readable time, to the minute; otherwise NULL. Seconds and beyond only have to be digits: such a text sorts between
# those of its minute and the next, which is how a filter by time compares.
_STAMP: Final = "0000-00-00T00:00:00.000000Z".replace("0", "[0-9]")
MINUTE_SQL: Final = f"iif(typeof(timestamp) = 'text' AND timestamp GLOB '{_STAMP}', substr(timestamp, 1, 16), NULL)"
