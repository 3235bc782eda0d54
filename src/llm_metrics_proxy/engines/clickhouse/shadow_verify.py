"""Whether a part was carried rightly, before it is in any answer: by counts, by digests, and by the oracles in Python.

The server compares what no version writes. What versions write is read in the order of the tables, from both at once,
and held against what the oracles give for the record as it was: every record, with a bounded number in memory.
"""
# ruff: noqa: S608 -- names are ours

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.records import Row
from llm_metrics_proxy.engines.clickhouse.connection import Connection, names
from llm_metrics_proxy.engines.clickhouse.expressions import literal, time_literal
from llm_metrics_proxy.engines.clickhouse.formulas import ServerStep, written_by
from llm_metrics_proxy.engines.clickhouse.rows import decoded, shown
from llm_metrics_proxy.engines.clickhouse.table import NO_HOST, NO_TIME_SQL, TABLE
from llm_metrics_proxy.migration.batches import ProgressReporter
from llm_metrics_proxy.migration.model import REASON_COLUMN, Fault, Migration, Report, WorkPhase
from llm_metrics_proxy.migration.oracle_check import MOST_FAULTS, difference
from llm_metrics_proxy.migration.reading import fit
from llm_metrics_proxy.migration.verify import StoppedError
from llm_metrics_proxy.migration.verify_table import checked_changes
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import APP_VERSION_COLUMN

CHUNK: Final = 50_000  # records in memory at once, of each table
_KEYS: Final = ("timestamp", "host", "arrival")
_MOST_KNOWN: Final = 100_000  # combinations of values that were found right already


class Compared(NamedTuple):
    """Rows of a table: its name, and a condition."""

    table: str
    where: str = "1"


def count_and_digest_fault(
    connection: Connection, old: Compared, new: Compared, columns: Sequence[str], expected: int
) -> Fault | None:
    """All records are there once, with the same values in these columns."""
    digests = [_digest(connection, each, columns) for each in (old, new)]
    (of_old, *old_digest), (of_new, *new_digest) = digests
    if not of_old == of_new == expected:
        return Fault("count", None, f"{expected:,} records were counted, {of_old:,} are there, {of_new:,} were carried")
    if old_digest == new_digest:
        return None
    wrong = [name for name in columns if len({_digest(connection, each, [name])[1:] for each in (old, new)}) > 1]
    return Fault("raw", None, f"values of {', '.join(wrong) or 'some columns together'} differ from those before")


def _digest(connection: Connection, rows: Compared, columns: Sequence[str]) -> tuple[int, ...]:
    """A tuple's hash tells NULL from any value, alone a NULL would make the hash NULL."""
    digest = f"cityHash64(tuple({names(['timestamp', 'host', 'arrival', *columns])}))"
    sql = f"SELECT count(), sum(h), groupBitXor(h) FROM (SELECT {digest} AS h FROM {rows.table} WHERE {rows.where})"
    ((count, total, xor),) = connection.query(sql)
    return int(count), int(total), int(xor)


def oracle_faults(
    connection: Connection, old: Compared, new: Compared, steps: Sequence[ServerStep], heard: Callable[[int], None]
) -> list[Fault]:
    """What differs from the oracles, up to some faults. ``heard`` gets how many more records were looked at."""
    if not steps:
        return []
    written = sorted(written_by(steps))
    inputs = sorted({*written, *(name for step in steps for name in step.migration.inputs)})
    faults: list[Fault] = []
    known: set[tuple[Any, ...]] = set()
    for before, after in zip(chunks(connection, old, inputs), chunks(connection, new, written), strict=True):
        for was, is_ in zip(before, after, strict=True):
            if was[:3] != is_[:3]:
                return [Fault("count", was[2], "the records carried are not those that were there")]
            key = (*was[3:], None, *is_[3:])
            if key in known:
                continue
            wrong = _wrong(dict(zip(inputs, was[3:], strict=True)), steps, written, is_[3:])
            if wrong:
                faults.append(Fault("oracle", was[2], f"of {was[1] or 'no host'}: {wrong}"))
                if len(faults) >= MOST_FAULTS:
                    return faults
            elif len(known) < _MOST_KNOWN:
                known.add(key)
        heard(len(before))
    return faults


def chunks(connection: Connection, rows: Compared, columns: Sequence[str]) -> Iterator[list[Row]]:
    """Records with their keys (timestamp, host, arrival) before the columns, some at a time. In the order of the table,
    which the server need not sort."""
    of = [*_KEYS, *columns]
    after = "1"
    while True:
        sql = (
            f"SELECT {shown(of)} FROM {rows.table} WHERE {rows.where} AND {after} "
            f"ORDER BY {', '.join(f'{rows.table}.{key}' for key in _KEYS)} LIMIT {CHUNK}"
        )
        found = decoded(of, connection.query(sql))
        yield found
        if len(found) < CHUNK:
            return
        timestamp, host, arrival = found[-1][:3]
        time = NO_TIME_SQL if timestamp is None else time_literal(datetime.fromisoformat(timestamp))
        place = f"({time}, {literal(host or NO_HOST)}, {arrival})"
        keys = ", ".join(f"{rows.table}.{key}" for key in _KEYS)
        after = f"{rows.table}.timestamp >= {time} AND ({keys}) > {place}"


def _wrong(was: Mapping[str, Any], steps: Sequence[ServerStep], written: Sequence[str], is_: Sequence[Any]) -> str:
    """What is not as it should be, in words. Where a value is what it was, its original may be kept or not."""
    should = dict(was)
    optional = set()
    for step in steps:
        migration = step.migration
        if not is_older(should[APP_VERSION_COLUMN], migration.version):
            continue
        *values, reason = migration.oracle(*(should[name] for name in migration.inputs))
        after = dict(should)
        for change, value in zip(migration.changes, values, strict=True):
            after[change.column] = fit(change.column, value)
            if change.original and should[change.original] is None and should[change.column] is not None:
                if after[change.column] == should[change.column]:
                    optional.add((change.original, should[change.column]))
                else:
                    after[change.original] = should[change.column]
        after[REASON_COLUMN], after[APP_VERSION_COLUMN] = reason, migration.version
        should = after
    expected = [value if (name, value) in optional else should[name] for name, value in zip(written, is_, strict=True)]
    return difference(written, expected, list(is_)) if list(is_) != expected else ""


def verify_records(
    connection: Connection, migrations: Sequence[Migration], *, report: Report, stop: threading.Event
) -> tuple[Fault, ...]:
    """Every calculated value of the table that answers against the oracle of its version, up to some faults.

    Formulas whose inputs are not there any more, and those that leave some records to an earlier one, are left out, as
    are records with ``unfit_values``. Raises ``StoreError`` and ``StoppedError``.
    """
    census = connection.query(f"SELECT app_version, count() FROM {TABLE} GROUP BY 1 ORDER BY 1")
    reporter, done = ProgressReporter(report, WorkPhase.VERIFYING, sum(count for _stamp, count in census)), 0
    faults: list[Fault] = []
    for stamp, count in census:
        followed = [each for each in migrations if not is_older(stamp, each.version)]
        for place, migration in enumerate(followed):
            oracle = migration.oracle_at(stamp) if migration.oracle_at else migration.oracle
            for checked, left in checked_changes(migration, followed[place + 1 :]):
                if left != "1":
                    continue
                of = [migration.changes[index].column for index in checked]
                originals = {c.column: c.original for each in followed for c in each.changes if c.original}
                read = [str(originals.get(name, name)) for name in migration.inputs]
                where = f"app_version = {literal(stamp)} AND unfit_values IS NULL"
                for rows in chunks(connection, Compared(TABLE, where), [*migration.inputs, *read, *of]):
                    if stop.is_set():
                        raise StoppedError
                    for row in rows:
                        n = len(read)
                        now, original, stored = row[3 : 3 + n], row[3 + n : 3 + 2 * n], row[3 + 2 * n :]
                        given = [one if two is None else two for one, two in zip(now, original, strict=True)]
                        expected = oracle(*given)
                        should = [fit(name, expected[index]) for name, index in zip(of, checked, strict=True)]
                        if list(stored) != should:
                            words = f"of {row[1] or 'no host'}, by version {stamp}: {difference(of, should, stored)}"
                            faults.append(Fault("oracle", row[2], words))
                    if len(faults) >= MOST_FAULTS:
                        return tuple(faults[:MOST_FAULTS])
        done += count
        reporter.advance(done)
    return tuple(faults)
