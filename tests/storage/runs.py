"""Runs of migrations as the database has them."""

import apsw


def a_run(connection: apsw.Connection, state: str, *, old_table: str | None = None) -> None:
    """Write down one that is, or ended, so."""
    values = {
        "state": state, "from_versions": "{}", "to_version": "5.0.0", "checksums": "{}", "app_version": "5.0.0",
        "distrusts_stamps": 0, "old_table": old_table, "bound_id": 80, "records_total": 80, "records_changed": 80,
        "gaps": "{}", "unfit": "{}", "cursor_id": 80, "started_at": "2026-01-01T00:00:00Z", "busy_ms": 1.0,
        "largest_lock_ms": 1.0,
    }  # fmt: skip
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO migration_runs ({', '.join(values)}) VALUES ({marks})", list(values.values()))
