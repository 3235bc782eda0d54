"""The files of a bundle. What is made here passes the redactor before it is packed; no part reads a record's text."""

import asyncio
import os
import platform
import resource
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy import descriptors, machine
from llm_metrics_proxy.cli.checks import CHECKS
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.config.table import SettingRow, rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.listening import base_url
from llm_metrics_proxy.migration.overview import history
from llm_metrics_proxy.processes.asking import Manners, ask
from llm_metrics_proxy.processes.systemd_unit import NAME
from llm_metrics_proxy.processes.versions import libraries, versions
from llm_metrics_proxy.storage.disk_space import nearest, space_in
from llm_metrics_proxy.storage.sqlite import SqliteReader

_ASK_LIMIT_S: Final = 5.0
_JOURNAL_LIMIT_S: Final = 20.0
_BYTES_OF_A_LINE: Final = 2_000  # a traceback in JSON is one line
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- looked up, not bound to


class BundleSubject(NamedTuple):
    """What a bundle is about. ``loaded``: none if the settings cannot be used, for which ``faults`` are the reasons."""

    loaded: Loaded | None
    faults: Sequence[str]
    logs: Sequence[Path]
    lines: int


class BundlePart(NamedTuple):
    """One file: its name, what it holds, and how it is made: JSON's values, or text."""

    name: str
    holds: str
    make: Callable[[BundleSubject], Any]


def _version(_subject: BundleSubject) -> dict[str, Any]:
    found: dict[str, str | None] = {}
    for name in libraries():
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return {**versions(), "libraries": found}


def _settings(subject: BundleSubject) -> dict[str, Any]:
    if subject.loaded is None:
        return {"unusable": list(subject.faults)}
    loaded = subject.loaded
    return {
        name: {"value": _shown(row, getattr(loaded.settings, name), loaded.origins[name]), "from": loaded.origins[name]}
        for name, row in rows().items()
    }


def _shown(row: SettingRow, value: Any, origin: str) -> Any:
    """Numbers, switches and words of a choice; of anything else only whether there is one, and how many."""
    if row.name in TOML_TABLES:
        return [sorted(each.model_fields_set) for each in value]  # which keys, not what they hold
    if isinstance(value, list):
        return len(value)
    if value is None or isinstance(value, bool | int | float) or (row.choices and not row.is_secret):
        return value
    return "at its default" if origin == "default" else "given"


def _doctor(subject: BundleSubject) -> list[Any]:
    settings = _usable(subject).settings
    return [msgspec.to_builtins(check(settings)) for check in CHECKS]


def _health(subject: BundleSubject) -> Any:
    return msgspec.json.decode(_asked(_usable(subject).settings, "/health"))


def _metrics(subject: BundleSubject) -> str:
    return _asked(_usable(subject).settings, "/metrics").decode(errors="replace")


def _asked(settings: Settings, path: str) -> bytes:
    """Of the metrics process that runs with these settings. Raises ``LlmMetricsProxyError``."""
    token = settings.metrics_token
    manners = Manners() if token is None else Manners(f"Authorization: Bearer {token.get_secret_value()}\r\n")
    host = _ANY_ADDRESS.get(settings.metrics_host, settings.metrics_host)
    try:
        return asyncio.run(ask(base_url(host, settings.metrics_port) + path, _ASK_LIMIT_S, manners)).body
    except (OSError, TimeoutError, ValueError) as error:
        raise LlmMetricsProxyError(f"no metrics process answers: {error or type(error).__name__}") from error


def _schema(subject: BundleSubject) -> dict[str, Any]:
    path = _usable(subject).settings.db_path
    with closing(SqliteReader(path)) as reader:
        found = reader.query(
            "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY type, name"
        )
        steps = reader.query("SELECT number, name, app_version FROM schema_steps ORDER BY number")
        pages = reader.query(
            "SELECT page_count, page_size, freelist_count "
            "FROM pragma_page_count, pragma_page_size, pragma_freelist_count"
        )
    return {
        "objects": [dict(zip(("type", "name", "sql"), row, strict=True)) for row in found],
        "steps": [dict(zip(("number", "name", "app_version"), row, strict=True)) for row in steps],
        "pages": [dict(zip(("count", "size", "free"), row, strict=True)) for row in pages],
    }


def _migrations(subject: BundleSubject) -> list[Any]:
    return [msgspec.to_builtins(run) for run in history(_usable(subject).settings.db_path)]


def _sizes(subject: BundleSubject) -> dict[str, Any]:
    settings = _usable(subject).settings
    path = settings.db_path
    side = {suffix: path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal")}
    rooms = {
        name: space_in(nearest(folder)) for name, folder in (("data", path.parent), ("journal", settings.journal_dir))
    }
    return {
        "database": {f"database{suffix}": each.stat().st_size for suffix, each in side.items() if each.exists()},
        "journal": _folder(settings.journal_dir),
        "backups": _folder(settings.backup_dir),
        "free_bytes": {name: room.free_bytes for name, room in rooms.items()},
    }


def _folder(folder: Path) -> dict[str, int]:
    files = [each.stat().st_size for each in folder.glob("*") if each.is_file()] if folder.is_dir() else []
    return {"files": len(files), "bytes": sum(files)}


def _machine(_subject: BundleSubject) -> dict[str, Any]:
    load = os.getloadavg()
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": machine.cpus(),
        "memory_bytes": machine.memory_bytes(),
        "open_files_limit": descriptors.limit(),
        "file_size_limit": resource.getrlimit(resource.RLIMIT_FSIZE)[0],
        "load": list(load),
    }


def _logs(subject: BundleSubject) -> str:
    texts = [_tail(path, subject.lines) for path in subject.logs]
    if not subject.logs:
        texts = [_of_the_journal(subject.lines)]
    return "\n".join(texts)


def _tail(path: Path, lines: int) -> str:
    """The last lines of a file. Raises ``OSError``."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - lines * _BYTES_OF_A_LINE))
        text = file.read(lines * _BYTES_OF_A_LINE).decode(errors="replace")  # a device has no end
    return "\n".join(text.splitlines()[-lines:])


def _of_the_journal(lines: int) -> str:
    """What systemd has of the service. Raises ``LlmMetricsProxyError`` if there is nothing."""
    command = ["journalctl", "--unit", NAME, "--lines", str(lines), "--output", "cat", "--no-pager", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_JOURNAL_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LlmMetricsProxyError("no log: name its file with --log") from error
    if not done.stdout.strip():
        raise LlmMetricsProxyError(f"systemd has no log of {NAME}: name the log's file with --log")
    return done.stdout.decode(errors="replace")


def _usable(subject: BundleSubject) -> Loaded:
    if subject.loaded is None:
        raise LlmMetricsProxyError("the settings cannot be used; settings.json says why")
    return subject.loaded


PARTS: Final = (
    BundlePart("version.json", "versions of the program, of Python and of the libraries", _version),
    BundlePart(
        "settings.json", "which settings are given and where; values of numbers, switches and choices", _settings
    ),
    BundlePart("doctor.json", "the findings of `doctor`", _doctor),
    BundlePart("health.json", "what /health of the running process says", _health),
    BundlePart("metrics.txt", "its /metrics: counters, without names of models and backends", _metrics),
    BundlePart("schema.json", "tables and indexes of the database, no rows", _schema),
    BundlePart("migrations.json", "when which migration ran, and how it ended", _migrations),
    BundlePart("sizes.json", "bytes of database, journal and backups; free space", _sizes),
    BundlePart("machine.json", "system, processors, memory, limits", _machine),
    BundlePart("log.txt", "the last lines of the log", _logs),
)
