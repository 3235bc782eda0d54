"""Which migrations a run consists of, and its statements: also of a run that other code began.

A run stores the checksum of every migration in it. Where this program has another checksum under the same version,
its formulas are not those that wrote the records; what was written is then known from the undo entries alone.
"""

from collections.abc import Collection, Sequence
from typing import Any

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.model import ColumnChange, Migration, Run, chain_checksum, describe_stamp
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.migration.versions import Standing, is_older, standing
from llm_metrics_proxy.storage.affinity import mangled_columns

_OWN_COLUMNS = 3  # of a table of undo entries: id, stamp, reason


def known_checksums(run: Run, migrations: Sequence[Migration]) -> dict[str, str]:
    """This program's checksums of the versions in a run; empty for one it does not know. Equal: the same code."""
    known = chain_checksum(migrations)
    return {version: known.get(version, "") for version in run.checksums}


def refuse_unknown(run: Run, migrations: Sequence[Migration], app_version: str) -> None:
    """Raise ``MigrationRefusedError`` if the run has a version that only another program can go on with."""
    unknown = [version for version, checksum in known_checksums(run, migrations).items() if not checksum]
    if unknown:
        raise MigrationRefusedError(
            f"Run {run.id} to {', '.join(unknown)} was begun by {run.app_version}, and {app_version} does not know "
            "that version. Start the program that began it, or a newer one; nothing was changed."
        )


def statements(
    connection: apsw.Connection, run: Run, migrations: Sequence[Migration], stamps: Sequence[Any], app_version: str
) -> RunSql:
    """The run's statements. ``stamps`` are those in the table now: a run that is resumed has left new ones."""
    chain = [migration for migration in migrations if migration.version in run.checksums]
    if run.checksums != known_checksums(run, migrations):
        chain = [migration._replace(changes=_written(connection, run, migration)) for migration in chain]
    claims_up_to = app_version if run.distrusts_stamps else None
    added, known = run.added_columns, run.from_versions
    return chain_sql(connection, run.id, chain, stamps, added=added, claims_up_to=claims_up_to, known=known)


def chain_sql(
    connection: apsw.Connection,
    run_id: int,
    chain: Sequence[Migration],
    stamps: Sequence[Any],
    *,
    added: Sequence[str],
    claims_up_to: str | None,
    known: Collection[str] | None = None,
) -> RunSql:
    """The statements of a chain. ``claims_up_to``: the program's version, where stamps prove nothing.

    ``known``: the stamps, as described, that records had when the run began.
    """
    stamps = [*stamps, *(m.version for m in chain if m.version not in stamps)]
    older = [[stamp for stamp in stamps if is_older(stamp, m.version)] for m in chain]
    claiming: list[list[Any]] = [
        [
            stamp
            for stamp in stamps
            if claims_up_to is not None
            and standing(stamp, claims_up_to) is Standing.CURRENT
            and not is_older(stamp, m.version)
            and all(is_older(stamp, later.version) for later in chain[k + 1 :])
        ]
        for k, m in enumerate(chain)
    ]
    # A claim that no record made when the run began is not checked for each record: that keeps most statements below
    # 16 KiB, up to which apsw caches them prepared.
    claimed = [[each for each in group if known is None or describe_stamp(each) in known] for group in claiming]
    return RunSql(run_id, chain, added, older, claiming, claimed=claimed, mangled=mangled_columns(connection))


def _written(connection: apsw.Connection, run: Run, migration: Migration) -> tuple[ColumnChange, ...]:
    """What the code that began the run wrote, as its undo entries have it; this program may write other columns."""
    table = RunSql(run.id, (migration,)).undo_table(0)
    known = {change.column: change for change in migration.changes if not change.only_if_added}
    columns = connection.execute("SELECT name FROM pragma_table_info(?) LIMIT -1 OFFSET ?", (table, _OWN_COLUMNS))
    return tuple(known.get(str(name), ColumnChange(str(name), "NULL")) for (name,) in columns)
