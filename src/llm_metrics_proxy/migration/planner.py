"""``migrate plan``: what a migration would do to this file, why it would be refused, and how the numbers change.

Nothing is written, neither to the file nor next to it. Counts are over every record and from one snapshot; only what
has to be calculated is tried on a sample, in memory.
"""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration.adoption import adopt
from llm_metrics_proxy.migration.chain import chain_sql
from llm_metrics_proxy.migration.legacy import FileKind, inspect, schema_of
from llm_metrics_proxy.migration.lock import lock_holder
from llm_metrics_proxy.migration.model import Migration, Progress, Report, RunState, WorkPhase, describe_stamp, quiet
from llm_metrics_proxy.migration.overview import Survey, disk_of, examine, refuse
from llm_metrics_proxy.migration.own_schema import index_steps
from llm_metrics_proxy.migration.plan import MigrationPlan, PlannedGap, PlannedStep, StampCount, in_words
from llm_metrics_proxy.migration.preview import (
    Preview,
    add_missing_columns,
    stored_columns,
    take_sample,
    try_out,
    with_all,
)
from llm_metrics_proxy.migration.rehearsal import rehearse
from llm_metrics_proxy.migration.retyping import count_types
from llm_metrics_proxy.migration.sql import RunSql
from llm_metrics_proxy.migration.versions import Standing, is_older, standing
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, snapshot
from llm_metrics_proxy.storage.read_only_file import open_read_only
from llm_metrics_proxy.storage.sqlite_schema import store_error

SAMPLE_RECORDS: Final = 20_000
# For the estimate, measured on 200,000 records: how often a run reads every record besides calculating (backup,
# comparisons, counts), and how fast it copies.
_PASSES: Final = 4
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
    start = time.perf_counter()
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
            seen = examine(source, inspection, migrations, app_version=app_version)
            planned = _Snapshot(source, seen, tuple(migrations), app_version)
            known = planned.plan()
            if known.refusal or known.nothing_to_do:
                return known
            report(Progress(phase=WorkPhase.CHECKING, total=known.records, detail="counting records"))
            counts = planned.counts()
            counting_s = time.perf_counter() - start
            report(Progress(phase=WorkPhase.CHECKING, total=known.records, detail="trying it on a sample"))
            return planned.with_trial(known, counts, counting_s, sample_records, backup_dir)
    except apsw.Error as error:
        raise store_error(path, "planning its migration", error) from error


class _Snapshot:
    """The file at one moment, and the chain of migrations that it needs."""

    def __init__(
        self, source: apsw.Connection, seen: Survey, migrations: tuple[Migration, ...], app_version: str
    ) -> None:
        self._source, self._seen, self._migrations, self._app_version = source, seen, migrations, app_version
        self._inspection, self._census, self._unfinished = seen.inspection, seen.census, seen.status.unfinished
        self._path = seen.inspection.path
        self._is_legacy = seen.status.needs_adoption
        self._added, self._distrusts = self._adopted()
        self._chain = self._due()

    def _adopted(self) -> tuple[list[str], bool]:
        """Columns that an adoption just added, and whether stamps prove nothing in this file."""
        if self._is_legacy:
            own = {name.lower() for name in stored_columns(self._source)}
            return [name for name in ALL_COLUMNS if name not in own and name != "id"], True
        if self._unfinished is not None:
            return self._unfinished.added_columns, self._unfinished.distrusts_stamps
        return self._seen.distrusted or [], self._seen.distrusted is not None

    def _due(self) -> tuple[Migration, ...]:
        """As the engine chooses: all of them for a file that was or will be adopted, else those that find records."""
        run = self._unfinished
        if run is not None:
            going_on = run.state is RunState.MIGRATING
            return tuple(m for m in self._migrations if going_on and m.version in run.checksums)
        return tuple(m for m in self._migrations if self._distrusts or self._census.older_than(m.version))

    @cached_property
    def _sql(self) -> RunSql:
        stamps = [stamp for stamp, _records in self._census.counts]
        claims_up_to = self._app_version if self._distrusts else None
        return chain_sql(self._source, 1, self._chain, stamps, added=self._added, claims_up_to=claims_up_to)

    def plan(self) -> MigrationPlan:
        """What is known from the census alone."""
        newer = self._seen.status.newer
        records = sum(count for _stamp, count in self._census.counts)
        to_do = bool(self._chain) or self._is_legacy or self._unfinished is not None
        return MigrationPlan(
            path=str(self._path),
            app_version=self._app_version,
            found=self._inspection.found.value,
            message=self._inspection.message if to_do or newer else "Every record follows the newest formulas.",
            nothing_to_do=not to_do,
            refusal=self._refusal(newer),
            records=records,
            stamps=tuple(
                StampCount(describe_stamp(stamp), self._standing(stamp), count)
                for stamp, count in self._census.ordered()
            ),
            needs_adoption=self._is_legacy,
            added_columns=tuple(self._added) if self._is_legacy else (),
            unfinished=self._unfinished,
            lock_holder=self._seen.status.lock_holder,
        )

    def _standing(self, stamp: Any) -> str:
        found = standing(stamp, self._app_version)
        if found is not Standing.CURRENT:
            return found.value
        if any(is_older(stamp, migration.version) for migration in self._migrations):
            return "older"
        return "distrusted" if self._distrusts else "current"

    def _refusal(self, newer: Sequence[str]) -> str | None:
        if newer:
            return (
                f"{self._path} has records of version {', '.join(newer[:5])}; this is {self._app_version}, which "
                "cannot know what their numbers mean. Start that version or a newer one. `migrate run` would change "
                "nothing."
            )
        if self._is_legacy:
            try:
                rehearse(self._inspection)
            except MigrationRefusedError as error:
                return str(error)
        return None

    def counts(self) -> list[dict[str | None, int]]:
        """Of each migration: records that it takes by why they cannot be recomputed (``None``: they can), in one pass.

        Reasons are those of the values as they are now: see ``_is_exact``.
        """
        columns = [
            f"CASE WHEN {self._sql.selects(k)} THEN "
            f"coalesce({m.evaluated(m.reason_expression if self._is_exact(k) else 'NULL')}, '') END"
            for k, m in enumerate(self._chain)
        ]
        found: list[dict[str | None, int]] = [{} for _ in self._chain]
        if columns:
            places = ", ".join(str(place + 1) for place in range(len(columns)))
            statement = (
                f"SELECT {', '.join(columns)}, count(*) FROM {with_all(self._source, ALL_COLUMNS)} GROUP BY {places}"  # noqa: S608
            )
            for *reasons, count in self._source.execute(statement):
                for k, reason in enumerate(reasons):
                    if reason is not None:
                        found[k][reason or None] = found[k].get(reason or None, 0) + count
        return found

    def _is_exact(self, k: int) -> bool:
        """Whether no earlier migration changes what this one reads, so that its gaps follow from the present values."""
        changed = {change.column for m in self._chain[:k] for change in m.changes}
        return not changed & set(self._chain[k].inputs)

    def with_trial(
        self,
        known: MigrationPlan,
        counts: Sequence[dict[str | None, int]],
        counting_s: float,
        sample_records: int,
        backup_dir: Path,
    ) -> MigrationPlan:
        """The plan with what counting and the sample show."""
        taken = [sum(count.values()) for count in counts]
        most = max(taken, default=0)
        trial = self._try(most, sample_records)
        steps = tuple(self._step(k, counts[k], taken[k], trial) for k in range(len(self._chain)))
        disk = disk_of(self._path, backup_dir, self._seen)
        copied_s = disk.backup_bytes / _COPIED_BYTES_PER_S
        each_s = trial.seconds / trial.records if trial.records else 0.0
        return msgspec.structs.replace(
            known,
            refusal=None if disk.enough else f"The disk has no room for it: {disk.lacking()}.",
            steps=steps,
            disk=disk,
            estimate_s=most * each_s + _PASSES * counting_s + copied_s,
            sample_records=trial.records,
            metrics=trial.metrics,
            faults=trial.faults,
        )

    def _try(self, taken: int, sample_records: int) -> Preview:
        every = max(1, -(-taken // max(1, sample_records)))
        anywhere = " OR ".join(self._sql.selects(k) for k in range(len(self._chain))) or "0"
        sample = take_sample(self._source, anywhere, ALL_COLUMNS, every)
        try:
            if self._is_legacy:
                alone = msgspec.structs.replace(self._inspection, schema=schema_of(sample))
                with sample:
                    adopt(sample, alone, app_version=self._app_version, backup=None)
            else:
                add_missing_columns(sample, ALL_COLUMNS)
            return try_out(sample, self._sql, index_steps())
        finally:
            sample.close()

    def _step(self, k: int, counts: dict[str | None, int], taken: int, trial: Preview) -> PlannedStep:
        migration, exact = self._chain[k], self._is_exact(k)
        gaps = {reason: count for reason, count in counts.items() if reason} if exact else dict(*trial.gaps[k : k + 1])
        return PlannedStep(
            version=migration.version,
            summary=migration.summary,
            records=taken,
            changes=tuple(in_words(change) for change in self._sql.changes(k)),
            gaps=tuple(PlannedGap(gap.code, gap.meaning, n) for gap in migration.gaps if (n := gaps.get(gap.code))),
            gaps_of=taken if exact else trial.records,
            types=count_types(self._source, migration, self._sql.selects(k), ALL_COLUMNS) if exact else (),
        )
