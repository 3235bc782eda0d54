"""What ``doctor`` looks at: one function per check, each an independent finding that says what to do.

No check changes anything: no file is made, no database is opened for writing, no port is kept.
"""

import asyncio
import os
import resource
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy import listening
from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.cli import backend_checks, interpreter_check, migration_checks, store_checks, watch_checks
from llm_metrics_proxy.cli.database_checks import database, losses
from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.dashboard import MISSING as NO_DASHBOARD
from llm_metrics_proxy.dashboard import is_built
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.errors import LlmMetricsProxyError, PortInUseError
from llm_metrics_proxy.processes import asking, secret_file
from llm_metrics_proxy.storage.disk_space import nearest, size, space_in
from llm_metrics_proxy.storage.sqlite import SqliteReader
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

OLDEST_SQLITE: Final = (3, 51, 3)  # releases before it can corrupt a WAL database when the WAL is reset
CLOCK_TOLERANCE_S: Final = 60.0
_ANSWER_LIMIT_S: Final = 3.0
_MIB: Final = 1024**2
_PROJECT_BEGAN: Final = datetime(2026, 1, 1, tzinfo=UTC)  # a clock that shows less was never set


def sqlite(_settings: Settings) -> Finding:
    """Is the SQLite inside apsw free of the WAL-reset fault?"""
    version = apsw.sqlite_lib_version()
    needed = ".".join(map(str, OLDEST_SQLITE))
    if tuple(int(part) for part in version.split(".")) >= OLDEST_SQLITE:
        return ok("sqlite", f"{version} (at least {needed} is needed)")
    advice = f"install apsw {needed} or newer; older ones can corrupt the database"
    return failed("sqlite", version, advice)


def journal(settings: Settings) -> Finding:
    """Can workers write their journals, and how much waits there?"""
    folder = settings.journal_dir
    existing = nearest(folder)
    if not os.access(existing, os.W_OK | os.X_OK):
        advice = f"let this user write to {existing}, or choose another --journal-dir"
        return failed("journal", f"{folder}: no permission to write to {existing}", advice)
    if not folder.is_dir():
        return ok("journal", f"{folder}: not there yet; it is made at the first start")
    files = [entry.stat().st_size for entry in folder.iterdir() if entry.is_file()]
    found = f"{folder}: {sum(files) / _MIB:,.1f} MiB in {len(files)} files"
    if sum(files) > settings.journal_max_bytes * 0.8:
        advice = "records are not being stored: is the metrics process running, and what does it log?"
        return warning("journal", f"{found}, near journal_max_bytes", advice)
    return ok("journal", found)


def disk(settings: Settings) -> Finding:
    """Is there room for the journal and the database? Too little is what makes a running proxy put work off."""
    rooms = {  # one for each disk
        nearest(folder).stat().st_dev: space_in(nearest(folder))
        for folder in (settings.journal_dir, settings.db_path.parent, settings.data_dir)
    }.values()
    found = "; ".join(f"{room.free_bytes / _MIB:,.0f} MiB free at {room.folder}" for room in rooms)
    low = [room for room in rooms if not room.has()]
    if low:
        advice = f"free at least {size(max(room.reserve_bytes for room in low))}, or move --data-dir"
        return failed("disk", "; ".join([found, *(room.in_words() for room in low)]), advice)
    if min(room.free_bytes for room in rooms) < settings.journal_max_bytes:
        advice = "less than journal_max_bytes: a stopped metrics process could fill the disk; lower it or make room"
        return warning("disk", found, advice)
    return ok("disk", found)


def clock(settings: Settings) -> Finding:
    """Does the clock go forward from the newest record? Timestamps come from it, durations do not."""
    now = datetime.now(UTC)
    found = f"{now.isoformat(timespec='seconds')}"
    advice = "set the clock (NTP); records would be filed under a wrong time"
    if now < _PROJECT_BEGAN:
        return failed("clock", found, advice)
    newest = _newest_timestamp(settings)
    if newest is not None and (newest - now).total_seconds() > CLOCK_TOLERANCE_S:
        return failed("clock", f"{found}, but the newest record is of {newest.isoformat()}", advice)
    before, monotonic_before = time.time(), time.monotonic()
    time.sleep(0.01)
    drift_s = (time.time() - before) - (time.monotonic() - monotonic_before)
    if abs(drift_s) > 0.005:
        return warning("clock", f"{found}; it jumped by {drift_s * 1000:.1f} ms just now", advice)
    return ok("clock", found)


def ports(settings: Settings) -> Finding:
    """Are the ports free, or taken by this very proxy?"""
    found, faults = [], []
    addresses = (
        ("--port", settings.host, settings.port),
        ("--metrics-port", settings.metrics_host, settings.metrics_port),
    )
    for flag, host, port in addresses:
        try:
            for group in listening.listen(host, port, flag=flag):
                for bound in group:
                    bound.close()
            found.append(f"{host}:{port} is free" if port else f"{host}: the kernel chooses a port")
        except PortInUseError as error:
            if _is_ours(host, port):
                found.append(f"{host}:{port} is this proxy, running")
            else:
                faults.append(str(error))
        except LlmMetricsProxyError as error:
            faults.append(str(error))
    if faults:
        return failed("ports", "; ".join(faults), "stop the other program or choose other ports")
    return ok("ports", "; ".join(found))


def descriptors(settings: Settings) -> Finding:
    """May a worker open two sockets for every connection that it accepts?"""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * settings.max_connections + 64
    shown = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    found = f"{shown} open files per process; max_connections {settings.max_connections} needs {needed}"
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return ok("descriptors", found)
    advice = "raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower --max-connections"
    return warning("descriptors", found, advice)


def secret(settings: Settings) -> Finding:
    """Is the key of api_key_id there, whole, and ours alone?"""
    path = secret_file.secret_path(settings)
    if not path.exists():
        return ok("secret", f"{path}: not there yet; it is made at the first start")
    try:
        readable_by_others = secret_file.ensure(path)
    except LlmMetricsProxyError as error:
        return failed("secret", str(error), "restore the file from a backup, or delete it")
    if readable_by_others:
        return warning("secret", readable_by_others, f"chmod 600 {path}")
    return ok("secret", str(path))


def dashboard(_settings: Settings) -> Finding:
    """Is it part of this installation?"""
    if is_built():
        return ok("dashboard", "part of this installation")
    return warning("dashboard", "none", NO_DASHBOARD)


CHECKS: Final[tuple[Callable[[Settings], Finding], ...]] = (
    backend_checks.backend,
    backend_checks.tls,
    database,
    losses,
    migration_checks.migrations,
    migration_checks.backups,
    interpreter_check.python,
    sqlite,
    store_checks.store,
    store_checks.outbox,
    journal,
    secret,
    disk,
    clock,
    ports,
    descriptors,
    watch_checks.objectives,
    watch_checks.alerts,
    watch_checks.budgets,
    watch_checks.tokens,
    dashboard,
)


def _newest_timestamp(settings: Settings) -> datetime | None:
    path = settings.db_path
    try:
        if not applied_steps(path):
            return None
        access = store_access(settings)
        with closing(SqliteReader(path)) as control, closing(open_records(control, access)) as records:
            newest = records.page(RequestFilter(), ("timestamp",), None, 1)
        return datetime.fromisoformat(newest[0][0]) if newest and newest[0][0] is not None else None
    except LlmMetricsProxyError:
        return None  # the check `database` says what is wrong with it


def _is_ours(host: str, port: int) -> bool:
    """One of our ports marks every answer with an id, the other answers /health with a document that lists workers."""
    try:
        answer = asyncio.run(asking.ask(f"{listening.base_url(host, port)}/health", _ANSWER_LIMIT_S))
        document: Any = msgspec.json.decode(answer.body)
    except (OSError, ValueError, TimeoutError):
        return False
    if not isinstance(document, dict) or "status" not in document:
        return False
    return "x-llm-metrics-request-id" in answer.fields or {"reasons", "workers"} <= document.keys()
