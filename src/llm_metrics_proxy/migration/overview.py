"""What a database needs, seen without changing it: the state from which every decision of the engine is made."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.disk import Disk, disk_needs
from llm_metrics_proxy.migration.legacy import FileKind, Inspection, fingerprint, inspect
from llm_metrics_proxy.migration.lock import lock_holder
from llm_metrics_proxy.migration.model import UNFINISHED, Migration, Run, RunState, describe_stamp
from llm_metrics_proxy.migration.runs import (
    CLEAN_FOR,
    CLEAN_THROUGH,
    all_runs,
    get_fact,
    has_table,
    is_held,
    last_copied,
)
from llm_metrics_proxy.migration.versions import Census, is_older, take_census
from llm_metrics_proxy.storage.carried import read_carried
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect
from llm_metrics_proxy.storage.read_only_file import open_read_only, side_file_bytes
from llm_metrics_proxy.storage.sqlite_schema import TABLE, store_error

_MANY: Final = 1_000_000
_REFUSED: Final = {
    FileKind.FOREIGN: ForeignDatabaseError,
    FileKind.DAMAGED: ForeignDatabaseError,
    FileKind.NEWER: NewerDatabaseError,
}


class MigrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``pending``: records by the version that they have yet to reach, none where there is nothing to do."""

    found: str
    message: str
    records_by_version: dict[str, int]  # of the table that answers; of records above ``counted_above``
    counted_above: int
    newer: list[str]  # stamps of a newer program: nothing may be written
    unreadable: list[str]  # stamps that are not versions, treated as the oldest
    pending: dict[str, int]
    is_older_layout: bool  # the table is of an older layout: nothing of it has been carried over
    unfinished: Run | None
    last: Run | None
    complete_from: str | None  # while history is incomplete: no record is missing from then on; None: not known
    held: bool  # a person took the last run back, and the automatic migration leaves it so
    failed_before: bool  # the engine took the last run back, and the program is the same still
    edited: list[str]  # versions whose applied migration is not the one in this program
    lock_holder: int | None

    @property
    def has_work(self) -> bool:
        """A migration, or the rest of one, is due."""
        return self.is_older_layout or self.unfinished is not None or self.lacks_history or bool(self.pending)

    @property
    def lacks_history(self) -> bool:
        """Older records are in a table beside the one that answers, and nobody carries them over."""
        last = self.last
        return last is not None and last.state is RunState.ROLLED_BACK and last.old_table is not None


class Survey(msgspec.Struct, frozen=True):
    """A status, and what the engine needs besides."""

    status: MigrationStatus
    inspection: Inspection
    census: Census
    through: int  # the greatest arrival that was counted
    distrusts_stamps: bool  # of an older table: it came from another program, so that its stamps prove nothing


class Look(msgspec.Struct, frozen=True):
    """A survey, with what the file was like just before it: one that still holds need not be taken again."""

    seen: Survey
    before: tuple[object, ...]

    def still_holds(self, path: Path) -> bool:
        """Whether it counted everything, and nothing has changed since.

        Times of change are coarse; only a look that took much longer than a tick of theirs can be trusted to notice.
        """
        whole = self.seen.status.counted_above == 0
        records = sum(count for _, count in self.seen.census.counts)
        return whole and records > _MANY and fingerprint(path) == self.before


def look_at(
    path: Path, migrations: Sequence[Migration], *, app_version: str = APP_VERSION, quick: bool = False
) -> Look:
    """A ``survey`` that knows later whether it still holds. Raises as ``survey``."""
    before = fingerprint(path)
    return Look(survey(path, migrations, app_version=app_version, quick=quick), before)


def refuse(inspection: Inspection) -> None:
    """Raise what says that this file is not ours to write; nothing if it is."""
    error = _REFUSED.get(inspection.found)
    if error is not None:
        raise error(inspection.message)


def refuse_newer(path: Path, newer: Sequence[str], app_version: str) -> None:
    """Raise ``NewerDatabaseError`` if records bear a stamp of a newer program."""
    if newer:
        raise NewerDatabaseError(
            f"{path} has records of version {', '.join(newer[:5])}; this is {app_version}, which cannot know what "
            "their numbers mean. Start that version or a newer one; `requests` and `summary` still read it here. "
            "Nothing was changed."
        )


def status(
    path: Path, migrations: Sequence[Migration], *, app_version: str = APP_VERSION, quick: bool = False
) -> MigrationStatus:
    """What the database is and needs. Reads only. ``quick`` counts only records that no earlier look has cleared.

    Raises ``StoreError`` where it cannot be read.
    """
    return survey(path, migrations, app_version=app_version, quick=quick).status


def survey(
    path: Path, migrations: Sequence[Migration], *, app_version: str = APP_VERSION, quick: bool = False
) -> Survey:
    """As ``status``, with the inspection and the census it rests on."""
    inspection = inspect(path)
    if inspection.found not in (FileKind.OURS, FileKind.LEGACY):
        return examine(None, inspection, migrations, app_version=app_version)
    try:
        with _reading(path, inspection.found) as connection:
            return examine(connection, inspection, migrations, app_version=app_version, quick=quick)
    except apsw.Error as error:
        raise store_error(path, "counting its records", error) from error


def examine(
    connection: apsw.Connection | None,
    inspection: Inspection,
    migrations: Sequence[Migration],
    *,
    app_version: str,
    quick: bool = False,
) -> Survey:
    """A ``survey`` of a database that is open; None if there are no records. Raises ``apsw.Error``."""
    is_ours = inspection.found is FileKind.OURS
    census, above, through, distrusts = Census(()), 0, 0, False
    runs: list[Run] = []
    copied, carried, held = None, None, False
    if connection is not None:
        with connection:  # one snapshot
            runs, copied, held = all_runs(connection), last_copied(connection), is_held(connection)
            if is_ours:
                above = _cleared(connection, migrations) if quick else 0
                through, carried = _newest(connection), read_carried(connection)
            else:
                distrusts = _is_anothers(connection, inspection)
            census = take_census(connection, above=above)
    last = runs[-1] if runs else None
    known = {migration.version: migration.checksum for migration in migrations}
    applied = {
        version: checksum for run in runs for version, checksum in run.checksums.items() if run.state is RunState.DONE
    }
    pending = {m.version: sum(n for stamp, n in census.counts if is_older(stamp, m.version)) for m in migrations}
    found = MigrationStatus(
        found=inspection.found.value,
        message=inspection.message,
        records_by_version=census.by_name(),
        counted_above=above,
        newer=census.newer_than(app_version),
        unreadable=[describe_stamp(stamp) for stamp in census.unreadable()],
        pending={version: count for version, count in pending.items() if count},
        is_older_layout=inspection.found is FileKind.LEGACY,
        unfinished=copied if copied is not None and copied.state in UNFINISHED else None,
        last=last,
        complete_from=None if carried is None else carried.complete_from,
        held=held,
        failed_before=last is not None
        and last.state is RunState.ROLLED_BACK
        and last.app_version == app_version  # another may verify in another way
        and all(known.get(version) == checksum for version, checksum in last.checksums.items()),
        edited=[version for version, checksum in applied.items() if version in known and known[version] != checksum],
        lock_holder=lock_holder(inspection.path),
    )
    return Survey(found, inspection, census, through, distrusts)


def disk_of(path: Path, backup_dir: Path, seen: Survey) -> Disk:
    """The disk space that the due migration takes, for every caller. Raises ``StoreError``."""
    records = sum(count for _stamp, count in seen.census.counts)
    try:
        return disk_needs(path, backup_dir, records, run=seen.status.unfinished)
    except OSError as error:
        raise StoreError(f"The room for migrating {path} cannot be measured: {error.strerror}.") from error


def history(path: Path) -> list[Run]:
    """Every run, oldest first, those of 4.x too. Raises ``StoreError``, and if the file is not ours to read."""
    inspection = inspect(path)
    refuse(inspection)
    if inspection.found is FileKind.NOTHING:
        return []
    try:
        with _reading(path, inspection.found) as connection:
            return all_runs(connection)
    except apsw.Error as error:
        raise store_error(path, "reading its migrations", error) from error


@contextmanager
def _reading(path: Path, found: FileKind) -> Iterator[apsw.Connection]:
    """Without a trace; but one of ours, which may be large, is not copied aside for the log that somebody left."""
    if found is not FileKind.OURS or side_file_bytes(path, "-wal") is None:
        with open_read_only(path, BUSY_TIMEOUT_MS) as connection:
            yield connection
        return
    with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
        yield connection


def _is_anothers(connection: apsw.Connection, inspection: Inspection) -> bool:
    """Another program wrote the records, and no migration of 4.x has held their stamps against their values yet."""
    if not inspection.has_ledger:
        return True
    distrusted = "SELECT 1 FROM migration_state WHERE key = 'distrusted'"
    return has_table(connection, "migration_state") and connection.execute(distrusted).get is not None


def _cleared(connection: apsw.Connection, migrations: Sequence[Migration]) -> int:
    """The arrival up to which no record is older than every migration of this program."""
    newest = migrations[-1].version if migrations else None
    return int(get_fact(connection, CLEAN_THROUGH) or 0) if get_fact(connection, CLEAN_FOR) == newest else 0


def _newest(connection: apsw.Connection) -> int:
    return int(connection.execute(f"SELECT coalesce(max(arrival), 0) FROM {TABLE}").get)  # noqa: S608 -- ours
