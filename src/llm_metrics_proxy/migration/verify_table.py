"""Every calculated value of a database against the oracle of its version, at any time: ``migrate verify``."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

from llm_metrics_proxy.migration.batches import ProgressReporter, ranges
from llm_metrics_proxy.migration.model import Fault, Migration, Report, WorkPhase, describe_stamp
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS, difference
from llm_metrics_proxy.migration.sql import CALCULATED
from llm_metrics_proxy.migration.verify import CHUNK, StoppedError, open_for_checking
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.storage.affinity import ColumnAccess, as_read, mangled_columns
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.storage.invalid_text import read_rows
from llm_metrics_proxy.storage.sqlite_schema import TABLE


def verify_table(
    path: Path,
    migrations: Sequence[Migration],
    *,
    report: Report,
    stop: threading.Event,
    census: Sequence[tuple[Any, int]],
) -> tuple[Fault, ...]:
    """What is wrong, up to some faults. Records older than every migration have no oracle here and are left out.

    Raises ``StoppedError``, ``apsw.Error``.
    """
    with closing(open_for_checking(path)) as connection:
        bound = connection.execute(f"SELECT coalesce(max(id), 0) FROM {TABLE}").get  # noqa: S608
        names = {name for (name,) in connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (TABLE,))}
        mangled = mangled_columns(connection)
        reporter = ProgressReporter(report, WorkPhase.VERIFYING, sum(count for _stamp, count in census))
        faults: list[Fault] = []
        done = 0
        for stamp, records in census:
            done += records
            followed = [m for m in migrations if not is_older(stamp, m.version)]
            for place, migration in enumerate(followed):
                superseded = {change.column for m in followed[place + 1 :] for change in m.changes}
                checked = _checked(migration, superseded)
                if not checked:
                    continue
                statement = _stored(migration, checked, followed, names, mangled)
                for after, through, _size in ranges(connection, bound, lambda: CHUNK):
                    if stop.is_set():
                        raise StoppedError
                    faults += _differences(connection, statement, migration, checked, (after, through, stamp))
                    if len(faults) >= MOST_FAULTS:
                        return tuple(faults)
            reporter.advance(done)
        return tuple(faults)


def _checked(migration: Migration, superseded: set[str]) -> list[int]:
    """Which changes can be calculated again at any time: those that rest on raw facts alone."""
    if not migration.repeatable and not CALCULATED.isdisjoint(migration.inputs):
        return []
    return [
        index
        for index, change in enumerate(migration.changes)
        if not change.only_if_added and change.column not in superseded
    ]


def _stored(
    migration: Migration,
    checked: Sequence[int],
    followed: Sequence[Migration],
    names: set[str],
    mangled: Mapping[str, ColumnAccess],
) -> str:
    """Rows ``(id, inputs…, checked columns…)`` of the records that bear a stamp."""
    # a later migration may have corrected what this one read
    originals = {change.column: change.original for m in followed for change in m.changes if change.original in names}
    stored = {name: f"coalesce({originals[name]}, {name})" if name in originals else name for name in migration.inputs}
    columns = [as_read(mangled, name, value) for name, value in stored.items()]
    columns += [as_read(mangled, name, name) for name in (migration.changes[index].column for index in checked)]
    return (
        f"SELECT id, {', '.join(columns)} FROM {TABLE} "  # noqa: S608 -- ours
        f"WHERE id > ?1 AND id <= ?2 AND app_version IS ?3"
    )


def _differences(
    connection: apsw.Connection,
    statement: str,
    migration: Migration,
    checked: Sequence[int],
    parameters: tuple[SqlValue, ...],
) -> Iterator[Fault]:
    inputs, stamp = len(migration.inputs), parameters[2]
    labels = [migration.changes[index].column for index in checked]
    oracle = migration.oracle_at(str(stamp)) if migration.oracle_at else migration.oracle
    for row in read_rows(connection, statement, parameters, 1 + inputs + len(labels)):
        expected = oracle(*row[1 : 1 + inputs])
        should = tuple(expected[index] for index in checked)
        if should != row[1 + inputs :]:
            text = difference(labels, should, row[1 + inputs :])
            yield Fault("oracle", row[0], f"by version {describe_stamp(stamp)}, {text}")
