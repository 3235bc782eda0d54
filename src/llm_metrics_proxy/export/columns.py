"""The columns that can be exported, each with its kind, unit and meaning; all of it taken from ``record``."""

from typing import Final, NamedTuple, get_args, get_type_hints

from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import (
    ALL_COLUMNS,
    APP_VERSION_COLUMN,
    DERIVED,
    KEPT,
    PRICED,
    Fact,
    RequestRecord,
    raw_facts,
)

TIME: Final = "timestamp"
_KINDS: Final = {bool: "flag", int: "integer", float: "number", str: "text"}  # bool stands before int, a kind of it
_BY_SQL_TYPE: Final = {"TEXT": "text", "REAL": "number", "INTEGER": "integer", "ANY": "any"}


class Column(NamedTuple):
    """``kind``: integer, number, flag, text, time, or any (whatever an older program stored there)."""

    name: str
    kind: str
    unit: str
    meaning: str


def _kind(hint: object) -> str:
    kinds = (hint, *get_args(hint))
    return next(word for kind, word in _KINDS.items() if kind in kinds)


def _columns() -> dict[str, Column]:
    hints, facts = get_type_hints(RequestRecord), raw_facts()
    kinds = {"id": "integer", **{name: _kind(hint) for name, hint in hints.items()}, TIME: "time"}
    facts["id"] = Fact("row number in the database, in the order of arrival")
    for column in (*DERIVED, *PRICED, *KEPT):
        kinds[column.name], facts[column.name] = _BY_SQL_TYPE[column.sql_type], column.fact
    kinds[APP_VERSION_COLUMN] = "text"
    facts[APP_VERSION_COLUMN] = Fact("version whose formulas calculated the derived columns")
    return {name: Column(name, kinds[name], facts[name].unit, facts[name].meaning) for name in ALL_COLUMNS}


COLUMNS: Final = _columns()


def choose(text: str | None) -> tuple[str, ...]:
    """Names separated by commas, in the order asked for; none: all columns. Raises ``QueryError``."""
    if text is None:
        return ALL_COLUMNS
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in COLUMNS:
            raise QueryError("columns", f"there is no column {name[:64]!r}; there are: {', '.join(ALL_COLUMNS)}")
        if names.count(name) > 1:
            raise QueryError("columns", f"the column {name} is named {names.count(name)} times; once is enough")
    return names
