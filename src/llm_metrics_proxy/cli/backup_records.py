"""The part of ``backup`` that is about records on a server: it makes the backup, we keep a description of it.

The description is ``NAME.records.json``, beside the backup of the database file that was made first: what waited in its
outbox then is in the records' backup or in that file.
"""

import threading
from pathlib import Path
from typing import Any

import msgspec

from llm_metrics_proxy.cli.output import plain
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.engines import open_backups
from llm_metrics_proxy.engines.report import RecordsBackup
from llm_metrics_proxy.errors import BackupError
from llm_metrics_proxy.migration.model import Progress, Report, WorkPhase
from llm_metrics_proxy.storage.backup import path_of
from llm_metrics_proxy.storage.durable import sync_file, sync_folder
from llm_metrics_proxy.store_address import StoreAccess


def create(settings: Settings, folder: Path, name: str, report: Report, stop: threading.Event) -> RecordsBackup | None:
    """Let the server back up its records, if the settings say where to; ``name``: the database file's backup."""
    access = store_access(settings)
    if access is None or settings.store_backup is None:
        return None
    report(Progress(phase=WorkPhase.BACKING_UP, detail="the records, by ClickHouse"))
    with open_backups(access, stop) as server:
        made = server.create(settings.store_backup, name.removesuffix(".db"))
    path = _description(folder, name)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made._asdict())))
    sync_file(path)
    sync_folder(folder)
    return made


def has(folder: Path, name: str) -> bool:
    """Whether that backup has records of a server."""
    return _description(folder, name).exists()


def verify(settings: Settings, folder: Path, name: str, report: Report, stop: threading.Event) -> None:
    """Nothing for a backup without them. Raises ``BackupError`` or ``StoreError``."""
    if (found := _read(folder, name)) is not None:
        report(Progress(phase=WorkPhase.VERIFYING, detail="the records, by ClickHouse"))
        with open_backups(_server(settings, found), stop) as server:
            server.verify(found)


def restore(settings: Settings, folder: Path, name: str, report: Report, stop: threading.Event) -> str | None:
    """Nothing for a backup without them, else the name of the table that has what was there before."""
    if (found := _read(folder, name)) is None:
        return None
    report(Progress(phase=WorkPhase.VERIFYING, detail="the records, by ClickHouse"))
    with open_backups(_server(settings, found), stop) as server:
        return server.restore(found)


def plain_of(made: RecordsBackup | None) -> dict[str, Any]:
    """For JSON; nothing without one."""
    return {} if made is None else {"store_backup": made._asdict()}


def words(made: RecordsBackup | None) -> list[tuple[str, str]]:
    """For people."""
    if made is None:
        return []
    return [
        ("In ClickHouse", f"{made.records:,} records, {plain(made.place)}, {plain(made.name)}, digest {made.digest}")
    ]


def _server(settings: Settings, made: RecordsBackup) -> StoreAccess:
    access = store_access(settings)
    if access is None:
        raise BackupError(
            f"The backup {made.name} has records of {made.address}: name that server with --store to read them."
        )
    return access


def _read(folder: Path, name: str) -> RecordsBackup | None:
    path = _description(folder, name)
    try:
        return RecordsBackup(**msgspec.json.decode(path.read_bytes())) if path.exists() else None
    except (OSError, msgspec.DecodeError, TypeError) as error:
        raise BackupError(f"{path} cannot be read: {error}.") from error


def _description(folder: Path, name: str) -> Path:
    return path_of(folder, f"{name}.records.json")
