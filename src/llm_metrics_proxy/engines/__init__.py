"""Engines that keep records. Each has a room of its own with all its SQL; nobody else names one."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.engines.migrations import StoreMigration, StoreMigrations
from llm_metrics_proxy.engines.moving import Moved, Report, choose, move, refuse_older
from llm_metrics_proxy.engines.operations import Operations
from llm_metrics_proxy.engines.report import StoreReport
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.migration.model import Migration
from llm_metrics_proxy.storage.base import AlertMemory, Reader, ShippingStatus
from llm_metrics_proxy.storage.control import Admit, ControlStore
from llm_metrics_proxy.storage.insertion import AfterInsert
from llm_metrics_proxy.storage.moved_records import Done, Row, SqliteRecordsFile, only_copy
from llm_metrics_proxy.store_address import StoreAccess

if TYPE_CHECKING:
    from llm_metrics_proxy.engines.clickhouse.backup import ClickHouseBackups
    from llm_metrics_proxy.engines.clickhouse.moved_records import ClickHouseMoved


class OpenedStore(NamedTuple):
    """``shipping``: how records get to a store on the network; ``None``: they are in the control store."""

    store: ControlStore
    shipping: Callable[[], ShippingStatus] | None = None


def open_store(
    db_path: Path,
    *,
    access: StoreAccess | None,
    host: str,
    admit: Admit,
    after_insert: AfterInsert,
    outbox_bytes: int,
    retention_days: int,
) -> OpenedStore:
    """The writing side. ``access``: the server that is to have the records; ``None``: the control store, whose file is
    ``db_path``, where ``after_insert`` is called in the transaction. The rest is as the settings of those names say."""
    if access is None:
        from llm_metrics_proxy.storage.sqlite import SqliteStore  # noqa: PLC0415 -- only the engine in use

        return OpenedStore(SqliteStore(db_path, host=host, admit=admit, after_insert=after_insert))
    from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore  # noqa: PLC0415 -- as above

    store = ClickHouseStore(
        db_path, access, host=host, admit=admit, outbox_bytes=outbox_bytes, retention_days=retention_days
    )
    return OpenedStore(store, store.shipping)


def open_records(control: Reader, access: StoreAccess | None = None, *, timeout_s: float | None = None) -> Records:
    """What answers questions about records. ``control``: the reader of the control store, which stays its owner's.
    ``access``: the server that has the records, which is given ``timeout_s`` for an answer; ``None``: the control store
    has them."""
    if access is not None:
        from llm_metrics_proxy.engines.clickhouse.connection import TIMEOUT_S, Connection  # noqa: PLC0415 -- as above
        from llm_metrics_proxy.engines.clickhouse.records import READING, ClickHouseRecords  # noqa: PLC0415

        limit = {} if timeout_s is None else {"max_execution_time": timeout_s}
        return ClickHouseRecords(Connection(access, timeout_s=TIMEOUT_S, settings={**READING, **limit}))
    from llm_metrics_proxy.engines.sqlite.records import SqliteRecords  # noqa: PLC0415 -- only the engine in use

    return SqliteRecords(control)


class Shared(NamedTuple):
    """What processes on one store share. ``leads``: this one does now what only one of them may do. ``migration``: that
    of the records on a server; ``None``: they are migrated with the control store."""

    leads: Callable[[], bool]
    alerts: Callable[[], AlertMemory]
    close: Callable[[], None]
    migration: StoreMigration | None = None


def open_migrations(access: StoreAccess, migrations: Sequence[Migration]) -> StoreMigrations:
    """Those of the records on a server."""
    from llm_metrics_proxy.engines.clickhouse.upkeep import ServerMigrations  # noqa: PLC0415 -- only the engine in use

    return ServerMigrations(access, migrations)


def open_shared(
    db_path: Path, access: StoreAccess | None, migrations: Sequence[Migration], *, auto_migrate: bool, undo_days: int
) -> Shared:
    """The control store's one process leads; of those on a server, the one that holds its lease, and migrates."""
    if access is None:
        from llm_metrics_proxy.storage.alert_store import AlertStore  # noqa: PLC0415 -- only the engine in use

        return Shared(lambda: True, lambda: AlertStore(db_path), lambda: None)
    from llm_metrics_proxy.engines.clickhouse.alerts import SharedAlerts  # noqa: PLC0415 -- as above
    from llm_metrics_proxy.engines.clickhouse.lease import Lease  # noqa: PLC0415
    from llm_metrics_proxy.engines.clickhouse.upkeep import MigrationThread, ServerMigrations  # noqa: PLC0415

    lease = Lease(access)
    alerts = SharedAlerts(access, lease)
    of_server = ServerMigrations(access, migrations)
    migration = MigrationThread(of_server, lease.held, allowed=auto_migrate, undo_days=undo_days)

    def close() -> None:
        migration.stop()
        lease.close()

    lease.start()
    migration.start()
    return Shared(lease.held, lambda: alerts, close, migration)


def report_of(access: StoreAccess) -> StoreReport:
    """What the server says of itself. Raises ``StoreError``."""
    from llm_metrics_proxy.engines.clickhouse.report import report  # noqa: PLC0415 -- only the engine in use

    return report(access)


def open_operations(db_path: Path, access: StoreAccess | None) -> Operations:
    """What changes stored records. ``db_path``: the file of the control store; ``access``: the server that has them.

    Raises ``MigrationRefusedError`` where that cannot be done.
    """
    if access is not None:
        from llm_metrics_proxy.engines.clickhouse.repricing import ServerOperations  # noqa: PLC0415 -- as below

        return ServerOperations(access)
    from llm_metrics_proxy.engines.sqlite.operations import SqliteOperations  # noqa: PLC0415 -- only the engine in use

    return SqliteOperations(db_path)


@contextmanager
def open_backups(access: StoreAccess, stop: threading.Event) -> Iterator["ClickHouseBackups"]:
    """What makes backups of the records on a server. Raises ``BackupError`` where that cannot be done."""
    from llm_metrics_proxy.engines.clickhouse.backup import TIMEOUT_S, ClickHouseBackups  # noqa: PLC0415 -- as above
    from llm_metrics_proxy.engines.clickhouse.connection import Connection  # noqa: PLC0415

    with closing(Connection(access, timeout_s=TIMEOUT_S)) as connection:
        yield ClickHouseBackups(connection, stop)


def copy_records(
    source: Path | StoreAccess,
    target: Path | StoreAccess,
    *,
    hosts: Sequence[str],
    names: Mapping[str, str],
    formulas: str,
    stop: threading.Event,
    report: Report,
) -> Moved:
    """Move records from a SQLite file to a server, or back. ``hosts``: only of these; ``names``: what hosts are called
    there, where that is another name; the empty one stands for records without a host.
    ``formulas``: the newest migration's version, which records on a server must follow. Raises ``StoreError``."""
    if isinstance(source, Path) and isinstance(target, StoreAccess):
        with (
            only_copy(source),
            closing(_moved(target)) as server,
            closing(SqliteRecordsFile(source, f"to {server.name}", create=False)) as file,
        ):
            file.refuse_unfinished()
            chosen = choose(file.spans(), hosts, names)
            refuse_older(source, file.stamps(chosen), formulas)
            identity = file.identity()
            server.owners([name for name, _ in chosen.values()], identity)
            server.begin(identity)

            def send(host: str, name: str, rows: Sequence[Row], after: int, through: int) -> int:
                were_there = server.put(name, rows, after, through)
                file.keep(host, Done(through, file.done(host).verified))
                return were_there

            return move(file, file, server, send, chosen=chosen, stop=stop, report=report)
    if isinstance(source, StoreAccess) and isinstance(target, Path):
        with (
            only_copy(target),
            closing(_moved(source)) as server,
            closing(SqliteRecordsFile(target, f"from {server.name}", create=True)) as file,
        ):
            file.refuse_unfinished()
            chosen = choose(server.spans(), hosts, names)
            if len(chosen) > 1 and (shared := server.shared_numbers(list(chosen))):
                raise StoreError(
                    f"Records of several hosts have the same numbers ({shared:,} numbers), and a SQLite file has each "
                    "number once. Nothing was copied. Copy each host into a file of its own with --host: "
                    f"{', '.join(repr(one) for one in chosen)}."
                )
            file.begin({host: span for host, (_, span) in chosen.items()})

            def store(host: str, name: str, rows: Sequence[Row], after: int, through: int) -> int:
                del name  # the rows have it
                verified = file.done(host).verified
                return file.put(host, rows, after, through, lambda copied: Done(copied, verified))

            return move(file, server, file, store, chosen=chosen, stop=stop, report=report)
    raise StoreError("Records are copied between a SQLite file and ClickHouse: one of --from and --to is each.")


def _moved(access: StoreAccess) -> "ClickHouseMoved":
    from llm_metrics_proxy.engines.clickhouse.connection import Connection  # noqa: PLC0415 -- only the engine in use
    from llm_metrics_proxy.engines.clickhouse.moved_records import ClickHouseMoved  # noqa: PLC0415

    return ClickHouseMoved(Connection(access))
