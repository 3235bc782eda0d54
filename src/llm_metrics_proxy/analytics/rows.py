"""Rows as they are, from files that other programs wrote: what a column holds need not be what it is there for.

A table that was adopted keeps the values it had, each with its storage class: text where a number belongs, bytes,
infinities, NULL, and text that is not UTF-8. A value that does not fit its column is shown as missing (JSON null), and
``unfit_values`` has it by column, as SQL would write it; it counts in no sum and no mean.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from llm_metrics_proxy.storage.base import SHORTENED, Snapshot, SqlValue

UNFIT: Final = "unfit_values"
NO_VALUE: Final = "(none)"
MAX_UNFIT_CHARS: Final = 256
_COLUMNS_THERE: Final = "SELECT name FROM pragma_table_info('completion_requests')"


def described(value: Any) -> str:
    """A stored word (a version, an outcome) as people and JSON keys see it; it can be anything."""
    if value is None:
        return NO_VALUE
    return value if isinstance(value, str) else repr(value)


def read(reader: Snapshot, sql: str, parameters: Sequence[SqlValue] = (), *, columns: int) -> list[tuple[Any, ...]]:
    """All rows of a statement with that many ``columns``; bytes of its text that are not Unicode become U+FFFD.

    A statement whose order matters needs a LIMIT: it may be nested in another one. Raises ``StoreError``.
    """
    try:
        return reader.query(sql, parameters)
    except UnicodeDecodeError:
        pass  # once more, with the text as bytes: rare, so not done for every question
    encoding = str(reader.query("PRAGMA encoding")[0][0])  # UTF-8, UTF-16le or UTF-16be; the bytes are in that one
    names = [f"c{index}" for index in range(columns)]
    raw = ", ".join(f"typeof({name}), iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in names)
    wrapped = f"WITH asked({', '.join(names)}) AS ({sql}) SELECT {raw} FROM asked"  # noqa: S608 -- names are ours
    return [
        tuple(
            value.decode(encoding, errors="replace") if kind == "text" else value
            for kind, value in zip(row[::2], row[1::2], strict=True)
        )
        for row in reader.query(wrapped, parameters)
    ]


def columns_there(reader: Snapshot) -> dict[str, str]:
    """SQL of each of ``record.ALL_COLUMNS``; NULL for what a file lacks whose next step is applied by the next start
    of the writer. Raises ``StoreError``.
    """
    there = {name.lower() for (name,) in reader.query(_COLUMNS_THERE)}
    return {name: SHORTENED.get(name, "{0}").format(f'"{name}"') if name in there else "NULL" for name in ALL_COLUMNS}


def whole_table(names: Mapping[str, str], hint: str = "") -> str:
    """The table as a FROM clause has it, as if it had every column; ``names`` are those of ``columns_there``."""
    there = ", ".join(sql if sql == f'"{name}"' else f"{sql} AS {name}" for name, sql in names.items())
    return f"(SELECT {there} FROM completion_requests {hint})"  # noqa: S608 -- names are ours


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _number(value: Any) -> Any:
    if type(value) is float:  # nearly all, at a third of the cost
        return value if isfinite(value) else None
    return value if isinstance(value, int | float) and isfinite(value) else None


def _whole(value: Any) -> Any:
    """1500.0 is a count too: some programs keep counts in columns of REAL."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**63 else None
    return value if isinstance(value, int) else None


def _flag(value: Any) -> Any:
    if type(value) is int:
        return value == 1 if 0 <= value <= 1 else None
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _as_is(value: Any) -> Any:
    """Of a column of no fixed type: what JSON has a word for."""
    return _number(value) if isinstance(value, float) else None if isinstance(value, bytes) else value


# By what a column holds.
_READINGS: Final[dict[str, Callable[[Any], Any]]] = {
    "flag": _flag, "integer": _whole, "number": _number, "text": _text, "time": _text, "any": _as_is,
}  # fmt: skip
_AT_ONCE: Final[dict[Callable[[Any], Any], type]] = {_text: str, _whole: int}  # of this type, it fits as it is


def reading(column: str) -> Callable[[Any], Any]:
    """What turns a stored value of a column into one that fits it, or into ``None``."""
    return _READINGS[REGISTRY[column].kind.holds]


def items_of(columns: Sequence[str]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """What turns a row with the values of ``columns`` into an object for JSON; flags are ``bool``.

    Where a value does not fit its column, the object has one more key, ``unfit_values``: what is stored, by column.
    """
    in_order = tuple((name, _AT_ONCE.get(reading(name), type(None)), reading(name)) for name in columns)

    def item_of(row: Sequence[Any]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        unfit: dict[str, str] = {}
        for (name, kind, read_as), value in zip(in_order, row, strict=True):
            if value is None or type(value) is kind:
                shown[name] = value
            else:
                shown[name] = read_value = read_as(value)
                if read_value is None:
                    unfit[name] = literal(value)
        if unfit:
            shown[UNFIT] = unfit
        return shown

    return item_of


item: Final = items_of(ALL_COLUMNS)  # a whole record, as the API shows it


def literal(value: Any) -> str:
    """As SQL writes it, so that '5', 5 and X'35' stay apart; cut to ``MAX_UNFIT_CHARS``."""
    if isinstance(value, bytes):
        text = f"X'{value[:MAX_UNFIT_CHARS].hex().upper()}'"
    elif isinstance(value, str):
        quoted = value[:MAX_UNFIT_CHARS].replace("'", "''")
        text = f"'{quoted}'"
    else:
        text = repr(value)
    return text if len(text) <= MAX_UNFIT_CHARS else f"{text[: MAX_UNFIT_CHARS - 1]}…"
