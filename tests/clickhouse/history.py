"""Records on a server as 5.0.0 leaves them, of several hosts and months; and a made-up next version."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.expressions import literal
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.migrating import migrate, undo
from llm_metrics_proxy.engines.clickhouse.payload import CODING, READ_SETTINGS, encoded, insertion
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.shadow import ShadowCall
from llm_metrics_proxy.metrics_service import settle, to_row
from llm_metrics_proxy.migration.model import MigrationResult
from llm_metrics_proxy.record import ROW_COLUMNS, RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.migration.test_recounting import NEXT, to_next

CHAIN: Final = (*MIGRATIONS, to_next())
LIFETIME_S: Final = 10.0
_STAMP: Final = ROW_COLUMNS.index("app_version")


def access(url: str) -> StoreAccess:
    address = store_address(url)
    assert address is not None
    return StoreAccess(address)


def report(number: int) -> str | None:
    """Some have the new member, some have none, some no report at all."""
    usage: dict[str, Any] = {"prompt_tokens": 100 + number % 50, "completion_tokens": 7}
    if number % 3 == 0:
        usage["tool_tokens"] = number % 20
    return None if number % 10 == 9 else json.dumps({"usage": usage}, separators=(",", ":"))


def row(number: int, month: int, stamp: str | None = None) -> list[Any]:
    """A record of that month of 2026."""
    record = RequestRecord(
        request_id=f"{number:032x}", timestamp=f"2026-{month:02d}-03T00:00:00.{number % 1_000_000:06d}Z", method="POST",
        endpoint="/v1/chat/completions", dialect="openai_chat", response_time_ms=1000.0 + number % 1000,
        outcome="completed", success=True, usage_reported=report(number), is_streaming=True, content_chunks=7,
        time_to_first_token_ms=100.0, time_to_last_token_ms=900.0, prompt_tokens=5000, total_tokens=6000,
        model=("a", "b", None)[number % 3],
    )  # fmt: skip
    settle(record)
    stored = list(to_row(record))
    if stamp is not None:
        stored[_STAMP] = stamp
    return stored


def add(connection: Connection, host: str, first: int, rows: Sequence[Sequence[Any]]) -> None:
    """As the shipper sends them, without its outbox."""
    sql = insertion(literal(host), "1")
    connection.insert(sql, encoded(first, rows), coding=CODING, settings=READ_SETTINGS)


def fill(connection: Connection, records: int = 400) -> None:
    """So many of each of two hosts, in four months; one record is the same in both but its host."""
    prepare(connection)
    for host in ("one", "two"):
        add(connection, host, 1, [row(number, 1 + number * 4 // (records + 1)) for number in range(1, records + 1)])


def all_of(connection: Connection, table: str = "completion_requests") -> dict[tuple[str, int], tuple[Any, ...]]:
    """Every row by its key; fails if one is there twice."""
    found = connection.query(f"SELECT host, arrival, * FROM {table} ORDER BY host, arrival")
    by_key = {(str(each[0]), int(each[1])): each[2:] for each in found}
    assert len(by_key) == len(found), "a record is there twice"
    return by_key


@contextmanager
def holding(url: str) -> Iterator[Lease]:
    """A process's lease."""
    lease = Lease(access(url), lifetime_s=LIFETIME_S)
    with closing(lease):
        lease.start()
        yield lease


def call(url: str, **changes: Any) -> ShadowCall:
    """One call of the engine, by the next version."""
    return ShadowCall(access(url), **{"migrations": CHAIN, "app_version": NEXT, **changes})


def migrated(url: str, **changes: Any) -> MigrationResult:
    """Run it."""
    with holding(url) as lease:
        return migrate(call(url, **changes), lease)


def undone(url: str, **changes: Any) -> MigrationResult:
    """Take it back."""
    with holding(url) as lease:
        return undo(call(url, **changes), lease)
