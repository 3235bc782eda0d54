"""Put a backup in the place of a database: whole or not at all, and nothing of the old one is lost.

The steps of a restore; killed after any of them, the old database or the new one is there:

1. The backup is verified, and is not newer than the program.
2. The target is locked for good; see ``swap``, also for the last step.
3. A safety backup of it is made through the connection that holds the lock. A foreign target, or a damaged
   one, is kept under another name instead.
4. The backup is copied to a file next to the target, compared by its digest, and synced.
5. The copy takes the place of the target.
"""

import os
import shutil
import stat
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Final

import apsw
import msgspec
from semver import Version

from llm_metrics_proxy.errors import BackupError, NewerDatabaseError
from llm_metrics_proxy.ownership import follow
from llm_metrics_proxy.storage import backup as backups
from llm_metrics_proxy.storage.backup import Backup
from llm_metrics_proxy.storage.backup_copy import check_integrity
from llm_metrics_proxy.storage.disk_space import copy_bytes, refuse_without_room
from llm_metrics_proxy.storage.durable import OnProgress, make_folder, sha256_of, sync_file, sync_folder
from llm_metrics_proxy.storage.sqlite_schema import (
    LAST_LEGACY_SCHEMA,
    check_ledger,
    has_ledger,
    legacy_schema_version,
)
from llm_metrics_proxy.storage.swap import files_of, locked, put_in_place

_WHOLE: Final = "It is wholly what it was, or wholly the backup."


class Restored(Backup, frozen=True, kw_only=True):
    """The backup that was restored, and what became of the database that it replaced."""

    safety_backup: str | None  # its name in the folder of backups
    moved_aside: str | None  # name of the file next to the target, where there was no database to back up


def restore(
    folder: Path,
    name: str,
    target: Path,
    *,
    app_version: str,
    lock: AbstractContextManager[object],
    report: OnProgress | None = None,
) -> Restored:
    """Put a backup in the place of ``target``, which need not exist. ``lock`` keeps migrations away meanwhile.

    Raises ``NewerDatabaseError`` for a backup that only a newer program understands, ``MigrationRefusedError`` if
    another process has the target open, and ``BackupError``. The target is whole then, in nearly all cases as it was.
    """
    backups.described(folder, name)
    target = target.resolve()  # of a link the file, not the link, is replaced
    try:
        make_folder(target.parent)
        with lock:
            backup = backups.verify(folder, name, report=report)
            _refuse_newer(folder, backup, app_version)
            _refuse_without_room(folder, backup, target)
            return _restore(folder, backup, target, app_version, report)
    except apsw.Error as error:
        raise BackupError(f"{target} cannot be replaced: {error}. {_WHOLE}") from error
    except OSError as error:
        raise BackupError(f"{target} cannot be replaced: {error.strerror}. {_WHOLE}") from error


def _refuse_newer(folder: Path, backup: Backup, app_version: str) -> None:
    path = backups.path_of(folder, backup.name)
    stamps = [stamp for stamp in backup.records_by_version if Version.is_valid(stamp)]
    newer = [stamp for stamp in stamps if Version.parse(stamp).compare(app_version) > 0]
    if newer:
        raise NewerDatabaseError(
            f"The backup {backup.name} holds records of version {', '.join(newer[:5])}; this is {app_version}, which "
            "cannot know what their numbers mean. Restore it with that version or a newer one; nothing was changed."
        )
    with backups.reading(path) as connection:
        if has_ledger(connection):
            check_ledger(path, connection)
        elif (legacy_schema_version(connection) or 0) > LAST_LEGACY_SCHEMA:
            raise NewerDatabaseError(
                f"The backup {backup.name} has a schema_version above {LAST_LEGACY_SCHEMA}: a newer program wrote it. "
                f"Restore it with that version or a newer one, not with {app_version}; nothing was changed."
            )


def _refuse_without_room(folder: Path, backup: Backup, target: Path) -> None:
    needed = backup.bytes
    if target.exists() and folder.stat().st_dev == target.parent.stat().st_dev:
        needed += copy_bytes(target)  # the safety backup
    refuse_without_room(target.parent, needed, f"Restoring {backup.name}")


def _restore(folder: Path, backup: Backup, target: Path, app_version: str, report: OnProgress | None) -> Restored:
    safety, aside = None, None
    with locked(target, "restoring") as held:
        is_whole = held is not None and _is_whole(held.connection)
        if held is not None and is_whole and not _is_empty(held.connection):
            safety = backups.create(
                target, folder, reason="before_restore", app_version=app_version, report=report,
                connection=held.connection,
            ).name  # fmt: skip
        copy = _copied(folder, backup, target)
        if not is_whole:
            aside = _keep_aside(target)
        put_in_place(copy, target, held if is_whole else None)
    return Restored(**msgspec.structs.asdict(backup), safety_backup=safety, moved_aside=aside)


def _is_whole(connection: apsw.Connection) -> bool:
    try:
        check_integrity(connection, "it")
    except (BackupError, apsw.CorruptError, apsw.NotADBError):
        return False
    return True


def _is_empty(connection: apsw.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM main.sqlite_schema").get


def _copied(folder: Path, backup: Backup, target: Path) -> Path:
    """A copy of the backup next to the target, identical and synced."""
    copy = target.with_name(f"{target.name}.restoring")
    try:
        copy.unlink(missing_ok=True)
        copy.touch(mode=0o600)  # private until it has the mode of what it replaces
        shutil.copyfile(backups.path_of(folder, backup.name), copy)
        model = target if target.exists() else backups.path_of(folder, backup.name)
        status = model.stat()
        copy.chmod(stat.S_IMODE(status.st_mode))
        follow(copy, target if target.exists() else target.parent)
        sync_file(copy)
        _refuse_another(copy, backup)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _refuse_another(copy: Path, backup: Backup) -> None:
    if sha256_of(copy) != backup.sha256:
        raise BackupError(f"The copy of {backup.name} is not what it should be. The database is as it was.")


def _keep_aside(target: Path) -> str | None:
    """Give the file and its side files a second name, and return it; ``None`` if all are empty."""
    files = files_of(target)
    if not any(each.stat().st_size for each in files if not each.name.endswith("-shm")):
        return None
    base = f"{target.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    taken = {each.name for each in target.parent.iterdir()}
    names = chain([base], (f"{base}-{number}" for number in count(2)))
    aside = next(name for name in names if not any(each.startswith(name) for each in taken))
    for each in files:
        kept = target.with_name(f"{aside}{each.name.removeprefix(target.name)}")
        try:
            os.link(each, kept)  # until the new database is there, the old one stays
        except OSError:  # a file system without hard links
            each.rename(kept)
    sync_folder(target.parent)
    return aside
