"""``migrate plan``: what a migration would do to this file, why it would be refused, and how the numbers change.

Nothing is written, neither to the file nor next to it. Records are counted by version from one snapshot; what has to be
calculated is tried on a sample, in memory, by the statement of a real run.
"""

import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.legacy import FileKind, Inspection, inspect, schema_of
from llm_metrics_proxy.migration.lock import lock_holder
from llm_metrics_proxy.migration.model import Migration, Progress, Report, RunState, WorkPhase, describe_stamp, quiet
from llm_metrics_proxy.migration.overview import MigrationStatus, Survey, disk_of, examine, refuse
from llm_metrics_proxy.migration.plan import MigrationPlan, PlannedGap, PlannedStep, StampCount, in_words
from llm_metrics_proxy.migration.preview import Preview, try_out
from llm_metrics_proxy.migration.sample import sample_of
from llm_metrics_proxy.migration.set_aside import set_aside
from llm_metrics_proxy.migration.versions import Census, Standing, is_older, standing, take_census
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, in_memory, snapshot
from llm_metrics_proxy.storage.read_only_file import open_read_only
from llm_metrics_proxy.storage.sqlite_schema import TABLE, store_error

SAMPLE_RECORDS: Final = 20_000
# For the estimate: how much longer a run takes than carrying over in memory, since it verifies and writes to a disk,
# and how fast it backs up.
_RUN_PER_CARRY: Final = 3.0
_COPIED_BYTES_PER_S: Final = 200e6


def plan(
    path: Path,
    *,
    backup_dir: Path,
    migrations: Sequence[Migration],
    app_version: str = APP_VERSION,
    sample_records: int = SAMPLE_RECORDS,
    report: Report = quiet,
) -> MigrationPlan:
    """Look, count, and try on about ``sample_records`` records, evenly spread.

    Raises ``NewerDatabaseError`` or ``ForeignDatabaseError`` for a file that is not ours to read, and ``StoreError``.
    Records of a newer version are not an error here: they are counted, and ``refusal`` names them.
    """
    report(Progress(phase=WorkPhase.CHECKING, detail="looking into the database"))
    inspection = inspect(path)
    refuse(inspection)
    if inspection.found is FileKind.NOTHING:
        return MigrationPlan(
            path=str(path),
            app_version=app_version,
            found=inspection.found.value,
            message=inspection.message,
            nothing_to_do=True,
            lock_holder=lock_holder(path),
        )
    try:
        with open_read_only(path, BUSY_TIMEOUT_MS) as source, snapshot(source):
            start = time.perf_counter()
            seen = examine(source, inspection, migrations, app_version=app_version)
            table, distrusts = _older_table(seen)
            census = seen.census if table == TABLE else take_census(source, table=table)
            counting_s = time.perf_counter() - start
            known = _known(seen, census, migrations, app_version, distrusts=distrusts)
            if seen.status.is_older_layout and not known.refusal:
                known = msgspec.structs.replace(known, refusal=_refusal(inspection, app_version))
            if known.refusal or known.nothing_to_do or _is_going_back(seen):
                return known
            report(Progress(phase=WorkPhase.CHECKING, total=known.records, detail="trying it on a sample"))
            stamps = [stamp for stamp, _count in census.counts]
            with sample_of(source, table, known.records, sample_records) as sample:
                trial = try_out(sample, migrations, stamps, app_version=app_version, distrusts=distrusts)
            disk = disk_of(path, backup_dir, seen)
            return msgspec.structs.replace(
                _with_trial(known, census, migrations, trial),
                refusal=None if disk.enough else f"The disk has no room for it: {disk.lacking()}.",
                disk=disk,
                estimate_s=_estimate_s(known.records, trial) + counting_s + disk.backup_bytes / _COPIED_BYTES_PER_S,
            )
    except apsw.Error as error:
        raise store_error(path, "planning its migration", error) from error


def without_sample(place: str, status: MigrationStatus, migrations: Sequence[Migration]) -> MigrationPlan:
    """The plan for records that are not in a file: what is known of them without trying it."""
    census, to_do = Census(tuple(status.records_by_version.items())), status.has_work
    newer = ", ".join(status.newer[:5])
    return MigrationPlan(
        path=place,
        app_version=APP_VERSION,
        found=status.found,
        message=status.message if to_do or newer else "Every record follows the newest formulas.",
        nothing_to_do=not to_do,
        refusal=f"{place} has records of version {newer}; this is {APP_VERSION}, which cannot know what their numbers "
        "mean. Start that version or a newer one. `migrate run` would change nothing."
        if newer
        else None,
        records=sum(count for _stamp, count in census.counts),
        stamps=tuple(
            StampCount(stamp, _standing(stamp, migrations, APP_VERSION, distrusts=False), n)
            for stamp, n in census.ordered()
        ),
        unfinished=status.unfinished,
        lock_holder=None,
        steps=tuple(
            PlannedStep(
                version=migration.version,
                summary=migration.summary,
                records=status.pending[migration.version],
                changes=tuple(in_words(change) for change in migration.changes),
                gaps=(),
            )
            for migration in migrations
            if to_do and not newer and migration.version in status.pending
        ),
    )


def _refusal(inspection: Inspection, app_version: str) -> str | None:
    """Why the older table cannot be set aside, tried on its empty schema."""
    with closing(in_memory()) as empty:
        for each in inspection.schema:
            with suppress(apsw.Error):  # what another program has beside the records may need functions of its own
                empty.execute(each.sql)
        try:
            set_aside(empty, schema_of(empty), app_version, app_version)
        except MigrationRefusedError as error:
            return f"{inspection.path} cannot be migrated: {error}"
    return None


def _older_table(seen: Survey) -> tuple[str, bool]:
    """Where the records are that are to be carried over, and whether another program wrote them.

    They are under their own name until a run sets the table aside.
    """
    last = seen.status.last
    if last is None or last.old_table is None or not (seen.status.unfinished or seen.status.lacks_history):
        return TABLE, seen.distrusts_stamps
    return last.old_table, last.distrusts_stamps


def _is_going_back(seen: Survey) -> bool:
    run = seen.status.unfinished
    return run is not None and run.state in (RunState.UNDOING, RunState.TAKING_BACK)


def _known(
    seen: Survey, census: Census, migrations: Sequence[Migration], app_version: str, *, distrusts: bool
) -> MigrationPlan:
    """What follows from the census alone."""
    status = seen.status
    newer, to_do = census.newer_than(app_version), status.has_work
    path = seen.inspection.path
    return MigrationPlan(
        path=str(path),
        app_version=app_version,
        found=status.found,
        message=status.message if to_do or newer else "Every record follows the newest formulas.",
        nothing_to_do=not to_do,
        refusal=f"{path} has records of version {', '.join(newer[:5])}; this is {app_version}, which cannot know what "
        "their numbers mean. Start that version or a newer one. `migrate run` would change nothing."
        if newer
        else None,
        records=sum(count for _stamp, count in census.counts),
        stamps=tuple(
            StampCount(describe_stamp(stamp), _standing(stamp, migrations, app_version, distrusts=distrusts), n)
            for stamp, n in census.ordered()
        ),
        unfinished=status.unfinished,
        lock_holder=status.lock_holder,
    )


def _standing(stamp: Any, migrations: Sequence[Migration], app_version: str, *, distrusts: bool) -> str:
    found = standing(stamp, app_version)
    if found is not Standing.CURRENT:
        return found.value
    if any(is_older(stamp, migration.version) for migration in migrations):
        return "older"
    return "distrusted" if distrusts else "current"


def _with_trial(known: MigrationPlan, census: Census, migrations: Sequence[Migration], trial: Preview) -> MigrationPlan:
    concerned = [migration for migration in migrations if migration.version in trial.changes]
    return msgspec.structs.replace(
        known,
        steps=tuple(_step(migration, census, trial) for migration in concerned),
        unfit=trial.unfit,
        sample_records=trial.records,
        metrics=trial.metrics,
        faults=trial.faults,
    )


def _estimate_s(records: int, trial: Preview) -> float:
    return records * trial.seconds / trial.records * _RUN_PER_CARRY if trial.records else 0.0


def _step(migration: Migration, census: Census, trial: Preview) -> PlannedStep:
    classifies = any(change.column == "error_category" for change in migration.changes)
    return PlannedStep(
        version=migration.version,
        summary=migration.summary,
        records=sum(count for stamp, count in census.counts if is_older(stamp, migration.version)),
        changes=tuple(in_words(change) for change in trial.changes[migration.version]),
        gaps=tuple(PlannedGap(gap.code, gap.meaning, n) for gap in migration.gaps if (n := trial.gaps.get(gap.code))),
        types=trial.types if classifies else (),
    )
