"""What ``doctor`` looks at for migrations and backups; it changes nothing, like all of its checks."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.migration.overview import MigrationStatus, disk_of, survey
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage import backup

_MIB: Final = 1024**2
_DAY_S: Final = 86_400
_BY_HAND: Final = "`llm-metrics-proxy migrate plan` shows what a migration would do, `migrate run` does it"


def backups(settings: Settings) -> Finding:
    """Which backups are there, and how old is the newest?"""
    folder = settings.backup_dir
    try:
        found = backup.listing(folder)
    except LlmMetricsProxyError as error:
        return warning("backups", str(error), "see `llm-metrics-proxy backup list`")
    if not found:
        return ok("backups", f"{folder}: none; a migration makes one, and so does `backup create`")
    newest = found[0]
    age_s = (datetime.now(UTC) - datetime.fromisoformat(newest.made_at)).total_seconds()
    size = sum(each.bytes for each in found) / _MIB
    return ok(
        "backups",
        f"{folder}: {len(found)} ({size:,.1f} MiB), the newest {newest.name}, {_age(age_s)} old, "
        f"by version {newest.app_version}",
    )


def migrations(settings: Settings) -> Finding:
    """Are there records of older versions, a migration that did not end, or one whose code has changed since?"""
    path = settings.db_path
    try:
        seen = survey(path, MIGRATIONS)
        found = seen.status
    except LlmMetricsProxyError as error:
        return warning("migrations", str(error), "the check `database` says more")
    if found.newer:
        words = f"records of version {', '.join(found.newer)}, which is newer than this program"
        return failed("migrations", words, "start that version or a newer one; nothing was changed")
    if found.edited:
        words = f"the migration to {', '.join(found.edited)} is no longer the code that was applied"
        return warning("migrations", words, "`llm-metrics-proxy migrate verify` checks every record")
    if found.lock_holder is not None:
        return ok("migrations", f"process {found.lock_holder or 'unknown'} is migrating just now")
    if not found.has_work:
        return _settled(found)
    words = _due(path, found)
    if found.held or found.failed_before:
        return warning("migrations", words, _BY_HAND)
    if lacking := disk_of(path, settings.backup_dir, seen).lacking():
        return failed("migrations", f"{words}; {lacking}", "make room, or choose another --backup-dir")
    if not settings.auto_migrate:
        return failed("migrations", f"{words}, and auto_migrate is false", _BY_HAND)
    return ok("migrations", f"{words}; the next start does it")


def _due(path: Path, found: MigrationStatus) -> str:
    """What there is to do, and why nobody does it."""
    run, last = found.unfinished, found.last
    if run is not None:
        carried = f"{run.records_changed:,} of {run.records_total:,} older records are carried over"
        return f"migration {run.id} has not ended ({run.state}): {carried}"
    if found.lacks_history and last is not None:
        left = f"{last.records_total:,} older records are in no answer, unchanged in {last.old_table}"
        return f"migration {last.id} was taken back by its own verification ({last.error}): {left}"
    records = sum(found.records_by_version.values())
    words = f"{path} is of an older version, with {records:,} records to be carried over"
    held = "; a person took the last migration back, and new records wait in the journal"
    return words + held if found.held else words


def _settled(found: MigrationStatus) -> Finding:
    if found.last is None:
        return ok("migrations", "none was needed")
    last = found.last
    words = f"none is due; the last one, to {last.to_version}, is {last.state} since {last.finished_at}"
    if found.held or last.state != "done":
        return warning("migrations", words, _BY_HAND)
    kept = f"; {last.old_table} stays beside for an undo" if last.old_table is not None else ""
    return ok("migrations", f"{words}{kept}")


def _age(seconds: float) -> str:
    for size, unit in ((_DAY_S, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} seconds"
