"""Rows of files from other programs, whose text may be invalid: such values become ``InvalidText``.

SQLite stores any bytes as TEXT. apsw raises where they cannot be decoded, and the whole statement fails; it is then run
again in a way that reads text as bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw

from llm_metrics_proxy.storage.base import SqlValue


class InvalidText(bytes):
    """Text whose bytes are invalid in the file's encoding: kept as they are, and equal to nothing else."""

    __slots__ = ()


def read_rows(
    connection: apsw.Connection, sql: str, parameters: Sequence[SqlValue], columns: int
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement with that many ``columns``, each once and in order. Raises ``apsw.Error``."""
    given = 0
    try:
        for row in connection.execute(sql, parameters):
            yield row
            given += 1
    except UnicodeDecodeError:
        yield from read_exactly(connection, sql, parameters, columns, given)


def read_exactly(
    connection: apsw.Connection, sql: str, parameters: Sequence[SqlValue], columns: int, skip: int = 0
) -> Iterator[tuple[Any, ...]]:
    """The same behind the first ``skip`` rows, with no text that was not looked at; twice as slow."""
    encodings: list[Any] = connection.execute("PRAGMA encoding").fetchall()
    names = [f"c{index}" for index in range(columns)]
    raw = ", ".join(f"typeof({name}), iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in names)
    # materialised, with a limit and an offset: the same plan as before, and so the same order
    wrapped = f"WITH asked({', '.join(names)}) AS MATERIALIZED ({sql} LIMIT -1 OFFSET {skip}) SELECT {raw} FROM asked"  # noqa: S608
    for row in connection.execute(wrapped, parameters):
        yield tuple(
            _text(value, encodings[0][0]) if kind == "text" else value
            for kind, value in zip(row[::2], row[1::2], strict=True)
        )


def _text(value: bytes, encoding: str) -> str | InvalidText:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return InvalidText(value)
