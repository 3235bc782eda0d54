"""What ``doctor`` looks at in and around the database file; it changes nothing, like all of its checks."""

import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw

from llm_metrics_proxy.analytics import records_by_version
from llm_metrics_proxy.cli.elsewhere import store_elsewhere
from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.journal import JournalFolder
from llm_metrics_proxy.migration.legacy import FileKind, inspect
from llm_metrics_proxy.migration.lock import lock_path
from llm_metrics_proxy.storage.base import Loss
from llm_metrics_proxy.storage.control import LOSSES
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

_NAME: Final = "database"
_SIDE_FILES: Final = (("-wal", "log"), ("-journal", "rollback journal"), ("-shm", "shared memory"))
_WASTE: Final = 0.2  # of the file, from which on it is worth giving back
_LEAST_WASTE_BYTES: Final = 16 * 1024**2


def database(settings: Settings) -> Finding:
    """Can this version read the database, may this user write it, and what is in it?"""
    path = settings.db_path
    try:
        if inspect(path).found is FileKind.LEGACY:
            words = f"{path}: {_sizes(path)}, written by an older version or program"
            return _unless_locked_out(path, words, "the check `migrations` says what becomes of it")
        if not applied_steps(path):
            return _unless_locked_out(path, f"{path}: none yet; it is made at the first start")
        with closing(SqliteReader(path)) as reader:
            ledger = reader.query("SELECT number, name, app_version FROM schema_steps ORDER BY number")
            versions = records_by_version(open_records(reader)) if store_elsewhere(settings) is None else {}
            ((free, page_bytes),) = reader.query(
                "SELECT freelist_count, page_size FROM pragma_freelist_count, pragma_page_size"
            )
    except LlmMetricsProxyError as error:
        return failed(_NAME, str(error), "do what the message says; nothing was changed")
    steps = ", ".join(f"{number} {name} (by {version})" for number, name, version in ledger)
    records = ", ".join(f"{version}: {count:,}" for version, count in versions.items()) or "none"
    sizes, advice = _sizes(path), ""
    if isinstance(free, int) and isinstance(page_bytes, int) and (waste := free * page_bytes):
        sizes += f", of which {_mib(waste)} are free for new records"
        if waste > max(_LEAST_WASTE_BYTES, _WASTE * path.stat().st_size):
            advice = "`llm-metrics-proxy compact` gives them back to the disk"
    return _unless_locked_out(path, f"{path}: {sizes}; schema steps {steps}; records by version {records}", advice)


def _sizes(path: Path) -> str:
    """Of the file and of what belongs to it."""
    sizes = [(path, "")] + [(path.with_name(path.name + suffix), f" of {words}") for suffix, words in _SIDE_FILES]
    found = []
    for each, words in sizes:
        with suppress(OSError):
            if (count := each.stat().st_size) or not words:
                found.append((count, words))
    parts = " + ".join(f"{_mib(count)}{words}" for count, words in found)
    return parts if len(found) == 1 else f"{_mib(sum(count for count, _ in found))} ({parts})"


def _unless_locked_out(path: Path, found: str, advice: str = "") -> Finding:
    """The finding, unless this user, or the owner of the database, could not continue with the files."""
    denied = [f"{each} cannot be {deed}" for each, deed in _denied(path)]
    if denied:
        to_do = "run as the owner of the database, or let this user write the file, its side files and its folder"
        return failed(_NAME, f"{found}; by this user {', '.join(denied)}", to_do)
    foreign = _foreign(path)
    if foreign:
        owner = path.stat().st_uid
        to_do = f"chown {owner} {' '.join(map(str, foreign))}"
        names = ", ".join(each.name for each in foreign)
        return warning(_NAME, f"{found}; {names} belong to another user than the database", to_do)
    return ok(_NAME, found, advice)


def _denied(path: Path) -> list[tuple[Path, str]]:
    """What this user may not do, of what storing records takes."""
    resolved = path.resolve()
    folder = next(each for each in resolved.parents if each.exists())
    found = [] if _may(folder, os.W_OK | os.X_OK) else [(folder, "written to")]
    files = (resolved, *(resolved.with_name(resolved.name + suffix) for suffix, _ in _SIDE_FILES))
    found += [(each, "written") for each in files if each.exists() and not _may(each, os.R_OK | os.W_OK)]
    lock = lock_path(path)
    return found + ([(lock, "read")] if lock.exists() and not _may(lock, os.R_OK) else [])


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _foreign(path: Path) -> list[Path]:
    """Side files that were left by another user, which the database's owner may not be able to use."""
    if not path.exists():
        return []
    resolved = path.resolve()
    owner = resolved.stat().st_uid
    names = [resolved.with_name(resolved.name + suffix) for suffix, _ in _SIDE_FILES]
    return [each for each in (*names, lock_path(path)) if each.exists() and each.stat().st_uid != owner]


def losses(settings: Settings) -> Finding:
    """Were requests served without a record, when and why?"""
    found = [*_stored_losses(settings.db_path), *_losses_in(settings.journal_dir)]
    if not found:
        return ok("losses", "every request that was served has its record")
    last = max(found, key=lambda loss: loss.last_unix_ms)
    first_ms = min(loss.first_unix_ms for loss in found)
    words = (
        f"{sum(loss.records for loss in found):,} requests were served without a record, between {_moment(first_ms)} "
        f"and {_moment(last.last_unix_ms)}; the last of them because: {last.reason}"
    )
    return warning("losses", words, "keep room on the disk of --journal-dir and --db-path")


def _stored_losses(path: Path) -> list[Loss]:
    try:
        if not applied_steps(path):
            return []
        with closing(SqliteReader(path)) as reader:
            return [Loss(*row) for row in reader.query(LOSSES)]
    except (LlmMetricsProxyError, apsw.Error):
        return []  # the check `database` says what is wrong with it


def _losses_in(folder: Path) -> list[Loss]:
    """Those that are not in the database yet."""
    journal, found = JournalFolder(folder), []
    with suppress(OSError):
        for worker_id in journal.workers():
            noted = journal.losses(worker_id)
            noted = noted if journal.is_alive(worker_id) else noted.of_the_dead()
            if noted.dropped:
                found.append(Loss(noted.dropped, noted.first_unix_ms, noted.last_unix_ms, noted.reason))
    return found


def _mib(count: int) -> str:
    return f"{count / 1024**2:,.1f} MiB"


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
