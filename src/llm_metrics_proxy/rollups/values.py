"""Which numbers of a record are rolled up, and by which of its words: the rows of ``record`` that say so."""

from typing import Final, NamedTuple

from llm_metrics_proxy.columns import MEASURED, Column
from llm_metrics_proxy.record import READABLE, REGISTRY


class Field(NamedTuple):
    """``number`` is stored (``banks``) and stays. ``whole``: its values and their sum are integers."""

    number: int
    name: str
    whole: bool = False


def _limits(column: Column) -> "Limits | None":
    least, most = column.kind.least, column.kind.most
    return None if least is None or most is None else (least, most)


_ROWS: Final = sorted(
    ((column.rolled_up, column) for column in READABLE.values() if column.rolled_up is not None),
    key=lambda row: row[0].number,
)
FIELDS: Final = tuple(Field(at.number, row.name, row.kind.holds == "integer") for at, row in _ROWS)
BY_NAME: Final = {field.name: field for field in FIELDS}
ALL: Final = tuple(field.number for field in FIELDS)
WHOLE: Final = frozenset(field.number for field in FIELDS if field.whole)

Limits = tuple[int, int]  # the least and the most that a value can be; what is beyond is missing
LIMITS: Final = {at.number: limits for at, row in _ROWS if (limits := _limits(row)) is not None}

# Kept by model, server, client …; all others for the total alone.
LATENCIES: Final = tuple(at.number for at, row in _ROWS if at.by != "total" and row.kind in MEASURED)
SUMS: Final = tuple(at.number for at, row in _ROWS if at.by != "total" and row.kind not in MEASURED)
MAIN: Final = LATENCIES + SUMS
# Kept by client too, of whom there may be thousands.
FEW: Final = tuple(at.number for at, _ in _ROWS if at.by == "client")

_GROUPED: Final = [column for column in REGISTRY.values() if column.group is not None and column.group.in_rollups]
# Dimension -> the column that has a record's key.
KEYS: Final = {column.group_name: column.name for column in _GROUPED}
KEY_LIMITS: Final = {column.group_name: limits for column in _GROUPED if (limits := _limits(column)) is not None}
# Filter -> the dimension whose key has its value.
KEY_OF_FILTER: Final = {column.filter_name: column.group_name for column in _GROUPED if column.filter is not None}
