"""An older program's database becomes ours, in a transaction that the caller holds: table, ledger and a note of it."""

import json
from datetime import UTC, datetime

import apsw

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.migration.legacy import Inspection, schema_of
from llm_metrics_proxy.migration.own_schema import make_ours
from llm_metrics_proxy.migration.rehearsal import rehearse
from llm_metrics_proxy.storage.affinity import READS_MEANT
from llm_metrics_proxy.storage.sqlite_schema import steps


def adopt(connection: apsw.Connection, inspection: Inspection, *, app_version: str, backup: str | None) -> list[str]:
    """Make the database ours, within the transaction that the caller has opened; the names of the columns added.

    Raises ``MigrationRefusedError`` if it cannot be, or is no longer what was inspected; the caller then rolls back.
    """
    if schema_of(connection) != inspection.schema:
        raise MigrationRefusedError(f"{inspection.path} was changed by another program meanwhile; try again.")
    rehearse(inspection)
    if any(name.lower() == "request_id" for name in inspection.columns):
        _refuse_double_requests(connection, inspection)
    added = make_ours(connection)
    now = datetime.now(UTC).isoformat()
    connection.executemany(
        "INSERT INTO schema_steps (number, name, checksum, applied_at, app_version) VALUES (?, ?, ?, ?, ?)",
        [(step.number, step.name, step.checksum, now, app_version) for step in steps()],
    )
    found = {
        "columns": inspection.columns,
        "tables": inspection.tables,
        "schema_version": inspection.schema_version,
        "has_rowid_id": inspection.has_rowid_id,
        READS_MEANT: True,
    }
    connection.execute(
        "INSERT INTO adoptions (adopted_at, app_version, found, added_columns, backup) VALUES (?, ?, ?, ?, ?)",
        (now, app_version, json.dumps(found, ensure_ascii=False), json.dumps(added), backup),
    )
    return added


def _refuse_double_requests(connection: apsw.Connection, inspection: Inspection) -> None:
    double = list(
        connection.execute(
            "SELECT request_id, count(*) FROM completion_requests WHERE request_id IS NOT NULL "
            "GROUP BY request_id COLLATE BINARY HAVING count(*) > 1 LIMIT 1"
        )
    )
    if double:
        raise MigrationRefusedError(
            f"{inspection.path} cannot be adopted: request_id {double[0][0]!r} is in {double[0][1]} records, but "
            "must be unique. Rename that column. Nothing was changed."
        )
