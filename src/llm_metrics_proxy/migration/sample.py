"""Some of the older records, copied into memory, where a statement may carry them over as a real run would."""
# ruff: noqa: S608 -- names are ours, or quoted

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration import carry_functions
from llm_metrics_proxy.migration.keys import key_columns
from llm_metrics_proxy.storage.connection import in_memory
from llm_metrics_proxy.storage.report_shapes import TABLE as SHAPES
from llm_metrics_proxy.storage.sqlite_schema import quoted, steps

OLD: Final = "older_records"
# Small tables that say what the values in the records mean.
_BESIDE: Final = (SHAPES, "adoptions")
# Scatters numbers that have gaps of one length, and stays within 64 bits.
_SCATTERED: Final = "({0} % 1000003 * 2654435761 % 4294967296)"


@contextmanager
def sample_of(source: apsw.Connection, table: str, records: int, most: int) -> Iterator[apsw.Connection]:
    """A database in memory: ``OLD`` is like ``table`` and has about ``most`` of its ``records``; our table is empty.

    Raises ``apsw.Error``.
    """
    sample = in_memory()
    try:
        sample.pragma("encoding", source.pragma("encoding"))  # so that bytes of text mean the same
        for step in steps():
            sample.execute(step.sql)
        for name in _BESIDE:
            if source.table_exists("main", name):
                rows = source.execute(f"SELECT * FROM {name}").fetchall()
                marks = ", ".join("?" * len(rows[0])) if rows else ""
                sample.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        _copy_records(source, sample, table, records, most)
        carry_functions.register(sample)
        yield sample
    finally:
        sample.close()


def _copy_records(source: apsw.Connection, sample: apsw.Connection, table: str, records: int, most: int) -> None:
    """Values with their storage classes; text goes over as bytes, for Python could not read what is not Unicode."""
    columns: list[Any] = source.execute(
        "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,)
    ).fetchall()
    strict = source.execute("SELECT max(strict) FROM pragma_table_list WHERE name = ? COLLATE NOCASE", (table,)).get
    key, *others = key_columns(source, table)
    if others or key.startswith('"'):  # rows without a number: the first ones will do
        chosen = f"LIMIT {most}"
    else:
        chosen = f"WHERE {_SCATTERED.format(key)} % {max(1, -(-records // most))} = 0"
    defined = [f"{quoted(name)} {type_}{' PRIMARY KEY' if name.lower() == key else ''}" for name, type_ in columns]
    sample.execute(f"CREATE TABLE {OLD} ({', '.join(defined)}){' STRICT' if strict else ''}")
    names = [quoted(name) for name, _type in columns]
    picked = ", ".join(f"typeof({n}) = 'text', iif(typeof({n}) = 'text', CAST({n} AS BLOB), {n})" for n in names)
    put = ", ".join(f"iif(?{2 * at + 1}, CAST(?{2 * at + 2} AS TEXT), ?{2 * at + 2})" for at in range(len(names)))
    with sample:
        sample.executemany(
            f"INSERT INTO {OLD} ({', '.join(names)}) VALUES ({put})",
            source.execute(f"SELECT {picked} FROM {quoted(table)} {chosen}"),
        )
