"""A plain legacy file with known records, and its content as a value that can be compared to the bit."""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import apsw

from llm_metrics_proxy.migration.options import Options
from llm_metrics_proxy.storage.sqlite_schema import quoted

TABLE: Final = """
CREATE TABLE completion_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT, success BOOLEAN, status_code INTEGER,
    response_time_ms REAL, model TEXT, origin TEXT, is_streaming BOOLEAN, prompt_tokens INTEGER,
    completion_tokens INTEGER, total_tokens INTEGER, finish_reason TEXT, time_to_first_token_ms REAL,
    time_to_last_token_ms REAL, tokens_per_second REAL, app_version TEXT, error_type TEXT, error_message TEXT, extra
)
"""
_COLUMNS: Final = (
    "timestamp",
    "success",
    "response_time_ms",
    "model",
    "total_tokens",
    "tokens_per_second",
    "app_version",
)


def make(path: Path, records: int = 1000, *, stamp: str | None = "1.0.0", script: str = "") -> Path:
    """``records`` plausible rows, every twentieth without tokens; then ``script``."""
    connection = apsw.Connection(str(path))
    try:
        connection.execute(TABLE)
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO completion_requests ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",
            (_row(index, stamp) for index in range(1, records + 1)),
        )
        connection.execute("COMMIT")
        connection.execute(script)
    finally:
        connection.close()
    return path


def _row(index: int, stamp: str | None) -> tuple[Any, ...]:
    failed = index % 20 == 0
    moment = f"2025-03-{1 + index % 28:02d}T12:{index % 60:02d}:00.{index % 1_000_000:06d}"
    tokens = None if failed else 100 + index % 900
    return (moment, not failed, 500.25 + index % 3000, f"model-{index % 3}", tokens, 12345.5 + index, stamp)


def execute(path: Path, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
    """All rows of a statement, on a connection of its own."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(30_000)
        return list(connection.execute(sql, tuple(parameters)))
    finally:
        connection.close()


def content(
    path: Path, columns: Iterable[str] | None = None, *, through_id: int | None = None
) -> dict[int, tuple[Any, ...]]:
    """Every record by its id: values with their storage classes, floats by their bits."""
    names = list(columns or _names(path))
    chosen = ", ".join(f"{quoted(name)}, typeof({quoted(name)})" for name in names)
    where = "" if through_id is None else f" WHERE rowid <= {through_id}"
    rows = execute(path, f"SELECT rowid, {chosen} FROM completion_requests{where} ORDER BY rowid")
    return {row[0]: tuple(map(_bits, row[1:])) for row in rows}


def _names(path: Path) -> list[str]:
    return [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")]


def _bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def options(path: Path, **more: Any) -> Options:
    """The usual ones, with the backups beside the database."""
    return Options(backup_dir=path.parent / "backups", **more)
