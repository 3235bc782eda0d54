"""Every calculated value of a database against the oracle of its version, at any time: ``migrate verify``.

Records with values that did not fit are left out: what their formulas read is in the old table alone.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.batches import ProgressReporter, ranges
from llm_metrics_proxy.migration.invalid_text import read_rows
from llm_metrics_proxy.migration.model import Fault, Migration, Report, WorkPhase, describe_stamp
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS, difference
from llm_metrics_proxy.migration.reading import fit
from llm_metrics_proxy.migration.verify import CHUNK, StoppedError, open_for_checking
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import APP_VERSION_COLUMN, DERIVED, KEPT, RESTATED
from llm_metrics_proxy.storage.base import SHORTENED, SqlValue
from llm_metrics_proxy.storage.sqlite_schema import TABLE

# What formulas read is all there; what an older table held that does not fit is proved when it is carried over.
_AS_IT_WAS: Final = "unfit_values IS NULL AND NOT (timestamp IS NULL AND timestamp_original IS NOT NULL)"
# What is not as it was observed.
_CALCULATED: Final = frozenset({APP_VERSION_COLUMN, *RESTATED, *(column.name for column in (*DERIVED, *KEPT))})


def verify_table(
    path: Path,
    migrations: Sequence[Migration],
    *,
    report: Report,
    stop: threading.Event,
    census: Sequence[tuple[Any, int]],
) -> tuple[Fault, ...]:
    """What is wrong, up to some faults. Records older than every migration have no oracle here and are left out, and so
    are those with ``unfit_values``, whose formulas saw what is in the table from before alone.

    Raises ``StoppedError``, ``apsw.Error``.
    """
    with closing(open_for_checking(path)) as connection:
        bound = connection.execute(f"SELECT coalesce(max(arrival), 0) FROM {TABLE}").get  # noqa: S608
        names = {name for (name,) in connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (TABLE,))}
        reporter = ProgressReporter(report, WorkPhase.VERIFYING, sum(count for _stamp, count in census))
        faults: list[Fault] = []
        done = 0
        for stamp, records in census:
            done += records
            followed = [m for m in migrations if not is_older(stamp, m.version)]
            for place, migration in enumerate(followed):
                for checked, left in checked_changes(migration, followed[place + 1 :]):
                    statement = _stored(migration, checked, followed, names, left)
                    for after, through in ranges(connection, TABLE, "arrival", bound, lambda: CHUNK):
                        if stop.is_set():
                            raise StoppedError
                        parameters = (after, through, stamp)
                        faults += _differences(connection, statement, migration, checked, parameters)
                        if len(faults) >= MOST_FAULTS:
                            return tuple(faults)
            reporter.advance(done)
        return tuple(faults)


def checked_changes(migration: Migration, later: Sequence[Migration]) -> Iterator[tuple[list[int], str]]:
    """Which changes can be calculated again at any time: those that rest on raw facts; and in which records (SQL).

    What a later migration writes is that one's, except in the records that it leaves as they are.
    """
    if not migration.repeatable and not _CALCULATED.isdisjoint(migration.inputs):
        return
    of_which: dict[str, list[int]] = {}
    for index, change in enumerate(migration.changes):
        writers = [m for m in later if change.column in {each.column for each in m.changes}]
        if not change.only_if_added:
            of_which.setdefault(" AND ".join(f"({m.leaves})" for m in writers) or "1", []).append(index)
    for left, checked in of_which.items():
        yield checked, left


def _stored(
    migration: Migration,
    checked: Sequence[int],
    followed: Sequence[Migration],
    names: set[str],
    left: str,
) -> str:
    """Rows ``(arrival, inputs…, checked columns…)`` of the records with a stamp of which ``left`` (SQL) holds."""
    # a later migration may have corrected what this one read
    originals = {change.column: change.original for m in followed for change in m.changes if change.original in names}
    stored = {
        name: f"coalesce({originals[name]}, {name})" if name in originals else SHORTENED.get(name, "{0}").format(name)
        for name in migration.inputs
    }
    columns = [*stored.values(), *(migration.changes[index].column for index in checked)]
    # what did not fit was worked out from values that are in the old table alone, and was verified with them
    return (
        f"SELECT arrival, {', '.join(columns)} FROM {TABLE} "  # noqa: S608 -- ours
        f"WHERE arrival > ?1 AND arrival <= ?2 AND app_version IS ?3 AND ({left}) AND {_AS_IT_WAS}"
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
        # of a time that is none, the original alone is kept
        should = tuple(fit(label, expected[index]) for label, index in zip(labels, checked, strict=True))
        if should != row[1 + inputs :]:
            text = difference(labels, should, row[1 + inputs :])
            yield Fault("oracle", row[0], f"by version {describe_stamp(stamp)}, {text}")
