"""What the processes on one database share: texts by name. Only the lease's holder writes them, everybody reads."""

from typing import NamedTuple

from llm_metrics_proxy.engines.clickhouse.claim import literal
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.table import NOTES


class Note(NamedTuple):
    """``version`` counts how often it was written; 0: never."""

    version: int
    body: str


def read_note(connection: Connection, name: str) -> Note:
    """The newest one. Raises ``StoreError``."""
    sql = f"SELECT version, body FROM {NOTES} WHERE name = {literal(name)} ORDER BY version DESC LIMIT 1"  # noqa: S608
    found = connection.query(sql)
    return Note(int(found[0][0]), str(found[0][1])) if found else Note(0, "")


def write_note(connection: Connection, lease: Lease, name: str, note: Note, query_id: str) -> None:
    """The next one; nothing is written if another process has claimed the lease.

    Raises ``LeaseLostError`` and ``StoreError``; of the latter, nobody knows whether it is there.
    """
    sql = (
        f"INSERT INTO {NOTES} (name, version, body) SELECT {{name:String}}, {note.version}, {{body:String}} "
        f"WHERE {lease.condition()}"
    )
    settings = {"async_insert": 0, "insert_deduplicate": 0}
    connection.command(sql, {"name": name, "body": note.body}, settings=settings, query_id=query_id)
