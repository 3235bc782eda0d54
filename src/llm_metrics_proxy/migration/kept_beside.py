"""What an undo put into an older table lost what that layout lacks; the table that was kept beside has it whole.

Once a later run has carried everything over and verified it, those records are taken from there: the same arrival, time
and, where the older layout has it, request_id. A record of which that is not so is another one, and stays as carried.
"""
# ruff: noqa: S608 -- names are ours

import json
from typing import Any

import apsw

from llm_metrics_proxy.migration.runs import KEPT_BESIDE, KEPT_FROM, RESTORED_THROUGH, get_fact, has_table, set_fact
from llm_metrics_proxy.migration.versions import is_older
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage import rollup_state
from llm_metrics_proxy.storage.sqlite_schema import TABLE


def begin(connection: apsw.Connection) -> None:
    """In the transaction that ends the verification: from here on rows may differ from those of the older table."""
    if get_fact(connection, KEPT_FROM) is not None and _kept(connection) is not None:
        set_fact(connection, RESTORED_THROUGH, int(get_fact(connection, KEPT_FROM) or 0))


def has_begun(connection: apsw.Connection) -> bool:
    """Whether a verification is over, and what it has to be followed by is not."""
    return get_fact(connection, RESTORED_THROUGH) is not None


def restore_some(connection: apsw.Connection, newest: str, bound: int, records: int) -> int:
    """Take the next records from the table kept beside, in the caller's transaction; how many were looked at.

    Those that follow formulas from before version ``newest`` stay as they were carried over, and so does what has an
    arrival above ``bound``.
    """
    after, kept = get_fact(connection, RESTORED_THROUGH), _kept(connection)
    if after is None or kept is None:
        return 0
    found: list[Any] = connection.execute(
        f"SELECT arrival, app_version FROM {kept} WHERE arrival > ? AND arrival <= ? ORDER BY arrival LIMIT ?",
        (int(after), bound, records),
    ).fetchall()
    if not found:
        return 0
    through = found[-1][0]
    stamps = {stamp for _arrival, stamp in found if not is_older(stamp, newest)}
    names = {str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (kept,))}
    columns = [name for name in ALL_COLUMNS[1:] if name in names]
    connection.execute(
        f"UPDATE OR IGNORE main.{TABLE} AS n SET {', '.join(f'{name} = k.{name}' for name in columns)} "
        f"FROM main.{kept} AS k WHERE n.arrival = k.arrival AND k.arrival > ? AND k.arrival <= ? "
        "AND n.timestamp IS k.timestamp AND (n.request_id IS k.request_id OR n.request_id IS NULL) "
        "AND k.app_version IN (SELECT value FROM json_each(?))",
        (int(after), through, json.dumps(sorted(stamps))),
    )
    if connection.changes():
        rollup_state.reset(connection)
    set_fact(connection, RESTORED_THROUGH, through)
    return len(found)


def _kept(connection: apsw.Connection) -> str | None:
    """Where the last undo left the records of this program."""
    tables = [str(name) for name in json.loads(get_fact(connection, KEPT_BESIDE) or "[]")]
    return tables[-1] if tables and has_table(connection, tables[-1]) else None
