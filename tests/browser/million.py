"""A year of traffic, a million records, made in seconds: what the ten everyday questions are asked of.

    python -m tests.browser.million metrics.db

A week of chats and of agents' sessions is written as records are, and repeated 51 times with the database's own
means: every week has requests and sessions of its own, and its roll-ups are those of the first one at other times, as
rolling up would have made them. The last week is apart: one model takes twice as long.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw
from msgspec.structs import replace

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.quotas import QuotaBook
from llm_metrics_proxy.record import ROW_COLUMNS, RequestRecord
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.arrivals import begin_above
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.server_samples import SampleStore
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.browser.records import a_day
from tests.browser.session_records import MODELS, a_run
from tests.browser.test_limits import hear
from tests.browser.test_servers import samples

MILLION: Final = 1_000_000
REPEATED: Final = 51  # weeks: with the first one and the last one it is a year
WEEK: Final = timedelta(days=7)
WEEK_S: Final = 604_800
A_DAY: Final = 2_350
RUNS: Final = 13  # sessions a day
SLOW: Final = "qwen2.5-coder:32b"
SLOWER: Final = 2
USD_PER_HOUR: Final = 0.4  # of the box that the local models share
BUSY: Final = 0.25  # a request's share of its server's time
PEOPLE: Final = (
    "anna", "ben", "carla", "david", "elif", "farid", "greta", "hugo", "ines", "jonas", "kim", "lena", "milan", "nora",
    "omar", "paula", "quinn", "ravi", "sofia", "tariq", "uma", "victor", "wanda", "xenia", "yusuf", "zoe",
)  # fmt: skip
_TIMES: Final = ("response_time_ms", "time_to_first_token_ms", "time_to_last_token_ms", "time_to_first_byte_ms")
_OWN: Final = ("request_id", "session_id", "parent_agent_id")


def first_day(now: datetime) -> datetime:
    """When the last week, which is apart, begins: a midnight seven to eight days ago."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - WEEK


def _days(begin: datetime, end: datetime, seed: int) -> Iterator[RequestRecord]:
    """Every day of it, a day's records in order of time."""
    while begin < end:
        seed += 1
        tomorrow = begin + timedelta(days=1)
        found = list(a_day(A_DAY, tomorrow, seed=seed))
        for number in range(RUNS):
            at = begin + timedelta(hours=1 + 20 * number / RUNS)
            apps = ("Claude Code", "OpenCode", "Codex")
            model = ("claude-sonnet-4-5", "claude-opus-4-5")[number % 5 == 0]
            name = f"{seed:04x}-{number:02d}"
            found += a_run(at, 12 + number, seed * 100 + number, name, app=apps[number % 3], model=model)
        until = stored_time(min(tomorrow, end))
        yield from sorted((_named(one) for one in found if one.timestamp < until), key=lambda one: one.timestamp)
        begin = tomorrow


def _named(record: RequestRecord) -> RequestRecord:
    """Its user has a person's name."""
    number = int((record.user or "0").rpartition("-")[2])
    return replace(record, user=PEOPLE[number % len(PEOPLE)])


def _slower(record: RequestRecord) -> RequestRecord:
    if record.model != SLOW or not record.success:
        return record
    return replace(record, **{name: SLOWER * value for name in _TIMES if (value := getattr(record, name)) is not None})


def _upstream(record: RequestRecord) -> str | None:
    return None if record.upstream_cost_usd is None else "upstream"


def _priced(record: RequestRecord) -> Sequence[SqlValue]:
    """Claude and OpenAI as the upstream says it, and what is local at its box's price."""
    busy = None if record.response_time_ms is None else BUSY * record.response_time_ms
    prices = MODELS.get(record.model or "")
    if prices is not None:
        cached, written = record.cached_tokens, record.cache_write_tokens
        saved = None if cached is None else prices[0] * (0.9 * cached - 0.25 * (written or 0)) / 1e6
        return to_row(record, (record.upstream_cost_usd, _upstream(record), saved), busy)
    if record.model == "gpt-4o-mini" or busy is None:
        return to_row(record, (record.upstream_cost_usd, _upstream(record), None), busy)
    return to_row(record, (busy * USD_PER_HOUR / 3_600_000, "own_hardware", None), busy)


def _repeat(connection: apsw.Connection, weeks: int) -> None:
    """All records and roll-ups again, in each of so many weeks before."""
    most: int = connection.execute("SELECT max(arrival) FROM completion_requests").get
    own = {name: f"{name} || printf('-%02d', ?1)" for name in _OWN if name != "request_id"}
    own["request_id"] = "printf('%02x', ?1) || substr(request_id, 3)"
    own["timestamp"] = "date(substr(timestamp, 1, 10), printf('-%d days', 7 * ?1)) || substr(timestamp, 11)"
    columns = ", ".join(f'"{name}"' for name in ROW_COLUMNS)
    chosen = ", ".join(own.get(name, f'"{name}"') for name in ROW_COLUMNS)
    for week in range(1, weeks + 1):
        connection.execute(
            f"INSERT INTO completion_requests (arrival, {columns}) SELECT arrival + ?1 * ?2, {chosen} "
            "FROM completion_requests WHERE arrival <= ?2 ORDER BY arrival",
            (week, most),
        )
    for table, at, rest in (
        ("rollups", "bucket", "key, requests, succeeded, failed, ones, many"),
        ("rollup_sketches", "bucket", "key, small, large"),
    ):
        connection.execute(
            f"WITH RECURSIVE weeks(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM weeks WHERE n < {weeks}) "
            f"INSERT INTO {table} SELECT grain, level, {at} - n * {WEEK_S}, {rest} FROM {table}, weeks"
        )
    connection.execute(
        f"WITH RECURSIVE weeks(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM weeks WHERE n < {weeks}) "
        f"INSERT INTO rollup_days SELECT day - n * {WEEK_S}, dense FROM rollup_days, weeks"
    )
    begin_above(connection, most * (weeks + 1))
    write_state(connection, read_state(connection)._replace(cursor_id=most * (weeks + 1)))


def make(path: Path, now: datetime, weeks: int = REPEATED) -> None:
    """Into a new database: a million records that end ``now``, all but the newest rolled up; or of fewer weeks."""
    last = first_day(now)
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[_priced(record) for record in _days(last - WEEK, last, 1)]))
    store.close()
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -400000")
    with connection:
        write_state(connection, RollupState(tables=FINGERPRINT))
        while (gathered := gather(connection, read_state(connection), 50_000)).records:
            assert add(connection, gathered)
        _repeat(connection, weeks)
    connection.execute("ANALYZE; PRAGMA journal_mode = WAL")
    connection.close()
    store = SqliteStore(path)
    rows = [_priced(_slower(record)) for record in _days(last, now, 101)]
    for begin in range(0, len(rows), 10_000):
        store.append(IngestBatch(rows=rows[begin : begin + 10_000]))
    store.close()


def add_limits_and_samples(path: Path, now: datetime) -> None:
    """A subscription of which 40 % are left, with the windows before, and half an hour of a server that is busy."""
    book, began = QuotaBook(), now - timedelta(hours=3)
    for past in range(24, 0, -1):
        reset = began - timedelta(hours=5 * past - 5)
        hear(book, reset - timedelta(hours=1), reset, 35 + 55 * (past % 5) / 4)
    for minute in range(0, 181, 10):
        hear(book, began + timedelta(minutes=minute), began + timedelta(hours=5), 60 * (minute / 180) ** 1.2)
    store = SqliteStore(path)
    store.append(IngestBatch(windows=book.take_changes()))
    store.close()
    sampled = SampleStore(path)
    sampled.add(samples())
    sampled.close()


if __name__ == "__main__":
    make(Path(sys.argv[1]), datetime.now(UTC))
