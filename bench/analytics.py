"""``make bench-analytics``: everyday questions about ten million records, while 2,000 more arrive every second.

The questions go to a real metrics process, over HTTP, as a dashboard asks them: every question, over every range, with
ends that differ by seconds. Beside it, without any ingestion, the same questions are answered by SQL on the raw table
(the product's own, without roll-ups), and by DuckDB over the same records as Parquet, on as many cores as there are.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import apsw
import duckdb
import msgspec
import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from bench import analytics_data, analytics_traffic
from bench.analytics_data import END
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.process_memory import collect_rarely
from llm_metrics_proxy.processes.options import metrics_options
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage.rollup_state import write_state
from llm_metrics_proxy.storage.rollup_store import Folding
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

RANGES: Final = {"1 h": 1.0, "6 h": 6.0, "24 h": 24.0, "7 d": 168.0, "30 d": 720.0, "all": None}  # hours
PER_SECOND: Final = 2_000
_PERCENTILES: Final = "response_time_ms.p50,response_time_ms.p95,time_to_first_token_ms.p95"
_EVERYDAY: Final = f"requests,success_rate,{_PERCENTILES},total_tokens"
_BERLIN: Final = {"timezone": "Europe/Berlin"}
_FEW: Final = "requests,success_rate,total_tokens,response_time_ms.mean"
# name -> parameters of the API, and the same in DuckDB: what to group by, and the aggregates
QUESTIONS: Final[dict[str, tuple[dict[str, str], str, str]]] = {
    "totals with percentiles": ({"metrics": _EVERYDAY}, "", "percentiles"),
    "traffic over time": ({"metrics": _FEW, "group_by": "time"}, "time", "few"),
    "percentiles over time": ({"metrics": _EVERYDAY, "group_by": "time"}, "time", "percentiles"),
    "days of Berlin": (
        {"metrics": _EVERYDAY, "group_by": "time", "bucket": "day", **_BERLIN}, "day", "percentiles"
    ),
    "by model": ({"metrics": _EVERYDAY, "group_by": "model"}, "model", "percentiles"),
    "by backend": ({"metrics": _EVERYDAY, "group_by": "backend_name"}, "backend_name", "percentiles"),
    "models over time": (
        {"metrics": "requests,total_tokens", "group_by": "time,model", "limit": "10"}, "time, model", "few"
    ),
    "one model over time": (
        {"metrics": _EVERYDAY, "group_by": "time", "model": "qwen3:8b"}, "time", "percentiles"
    ),
    "by origin": ({"metrics": _FEW, "group_by": "origin"}, "origin", "few"),
    "by API key": ({"metrics": _FEW, "group_by": "api_key_id"}, "api_key_id", "few"),
    "by user (2,000)": ({"metrics": "requests,total_tokens", "group_by": "user"}, '"user"', "few"),
    "errors by type": (
        {"metrics": "requests", "group_by": "error_category,error_type"}, "error_category, error_type", "few"
    ),
    "compared with before": ({"metrics": _EVERYDAY, "compare": "true"}, "", "percentiles"),
    "weekday and hour": ({"metrics": "requests", "group_by": "weekday,hour_of_day", **_BERLIN}, "hours", "few"),
}  # fmt: skip
# Answers of a fixed shape, over everything that is stored.
WHOLE: Final = ("/api/v1/summary", "/api/v1/errors?examples=20", "/api/v1/versions")
_DUCK: Final = {
    "few": "count(*), avg(success), sum(total_tokens), avg(response_time_ms)",
    "percentiles": "count(*), avg(success), sum(total_tokens), quantile_cont(response_time_ms, [0.5, 0.95]), "
    "quantile_cont(time_to_first_token_ms, 0.95)",
}


@contextlib.contextmanager
def metrics_process(folder: Path, path: Path, store: str = "sqlite") -> Iterator[tuple[int, psutil.Process]]:
    """The metrics process on a port; its log is ``metrics.log``."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    places = {"db_path": str(path), "journal_dir": str(folder / "journal"), "backup_dir": str(folder / "backups")}
    places["store"] = store
    options = metrics_options(load(places, {}), backend="", listen_fds=[listening.fileno()], scoreboard_fd=None)
    with (folder / "metrics.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "llm_metrics_proxy.processes.metrics_process"],
            stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[listening.fileno()],
        )  # fmt: skip
    listening.close()
    assert child.stdin is not None
    try:
        child.stdin.write(msgspec.json.encode(options) + b"\n")
        child.stdin.flush()
        yield port, psutil.Process(child.pid)
    finally:
        child.stdin.close()
        child.wait(120)


@contextlib.contextmanager
def traffic(folder: Path) -> Iterator[None]:
    """2,000 records a second in the journal."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.analytics_traffic", str(folder / "journal"), str(PER_SECOND)]
    )
    try:
        yield
    finally:
        child.kill()
        child.wait()


def answer(connection: http.client.HTTPConnection, path: str) -> tuple[float, dict[str, Any]]:
    """Milliseconds until the whole answer was there, and the answer."""
    begun = time.perf_counter()
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    elapsed_ms = (time.perf_counter() - begun) * 1000
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:300]!r}")
    return elapsed_ms, json.loads(body)


def spans(hours: float | None, now: datetime, turn: int) -> dict[str, str]:
    """``start`` and ``end``, a little different every time."""
    begin = now - timedelta(hours=hours or analytics_data.DAYS * 24, seconds=7.3 * turn)
    return {"start": begin.isoformat(), "end": now.isoformat()}


class Ours(NamedTuple):
    """Milliseconds by question and range, and of what is asked of everything; the process's most memory; records/s
    taken in meanwhile; who answered."""

    found: dict[str, dict[str, list[float]]]
    whole: dict[str, list[float]]
    most_bytes: int
    rate: float
    sources: dict[str, str]


class Clock:
    """What a run may take, and its progress on standard error, once in ten seconds."""

    def __init__(self, minutes: float) -> None:
        self._began = self._told = time.monotonic()
        self._minutes = minutes

    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._began + self._minutes * 60

    def tell(self, words: str) -> None:
        """How far it is."""
        if time.monotonic() > self._told + _TELL_S:
            self._told = time.monotonic()
            print(f"{self._told - self._began:,.0f} s: {words}", file=sys.stderr, flush=True)


_TELL_S: Final = 10.0


def ours(folder: Path, turns: int, counted: Callable[[], int], limit: Clock, store: str = "sqlite") -> Ours:
    """Everything asked of the metrics process while records come, or what of it was asked when the time was over.
    ``counted``: how many are stored. Its database is in ``folder``."""
    every = [(turn, name, label) for turn in range(turns) for name in QUESTIONS for label in RANGES]
    whole: dict[str, list[float]] = {asked: [] for asked in WHOLE}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in QUESTIONS}
    sources: dict[str, str] = {}
    most = 0
    clock = time.monotonic()  # of the traffic's times, or a little ahead: a request begins before it is stored
    with metrics_process(folder, folder / "metrics.db", store) as (port, process), traffic(folder):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        _wait_until_it_ingests(counted, connection)
        begun, before = time.monotonic(), counted()
        for number, (turn, name, label) in enumerate(every):
            limit.tell(f"question {number:,} of {len(every):,}")
            if limit.is_over():
                break
            now = END + timedelta(seconds=time.monotonic() - clock)
            asked = urlencode(QUESTIONS[name][0] | spans(RANGES[label], now, turn))
            ms, result = answer(connection, f"/api/v1/query?{asked}")
            found[name].setdefault(label, []).append(ms)
            sources[f"{name}, {label}"] = result["source"]
            most = max(most, process.memory_info().rss)
            if number % (len(every) // turns) == 0:
                for path_asked, times in whole.items():
                    times.append(answer(connection, path_asked)[0])
        rate = (counted() - before) / (time.monotonic() - begun)
    return Ours(found, whole, most, rate, sources)


def _wait_until_it_ingests(counted: Callable[[], int], connection: http.client.HTTPConnection) -> None:
    first, deadline = counted(), time.monotonic() + 120
    while counted() < first + PER_SECOND:
        if time.monotonic() > deadline:
            raise RuntimeError("nothing is ingested; see metrics.log")
        time.sleep(0.2)
    answer(connection, "/api/v1/query?metrics=requests")


def _records(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    ((last,),) = connection.execute("SELECT max(arrival) FROM completion_requests")
    connection.close()
    return int(last)


def plain_sql(path: Path, parameters: dict[str, str], hours: float | None) -> float:
    """Milliseconds of the same question to the raw table."""
    reader = SqliteReader(path)
    span = spans(hours, END, 0)
    selection = RequestFilter(
        start=datetime.fromisoformat(span["start"]),
        end=datetime.fromisoformat(span["end"]),
        model=parameters.get("model"),
    )
    query = Query(
        metrics=tuple(parameters["metrics"].split(",")),
        group_by=tuple(parameters["group_by"].split(",")) if "group_by" in parameters else (),
        bucket=parameters.get("bucket"),
        timezone=parameters.get("timezone", "UTC"),
        compare="compare" in parameters,
        filter=selection,
    )
    sources = (RecordsSource(reader),)
    elapsed = _timed(lambda: ask(sources, query, END))
    reader.close()
    return elapsed


def by_duckdb(parquet: Path, question: str, hours: float | None) -> float:
    """Milliseconds of the same question to DuckDB over Parquet."""
    parameters, group, aggregates = QUESTIONS[question]
    span = spans(hours, END, 0)
    width = {1.0: "1 minute", 6.0: "5 minutes", 24.0: "15 minutes", 168.0: "1 hour"}.get(hours or 0, "1 day")
    at = "timestamp::TIMESTAMPTZ"
    local = f"timezone('Europe/Berlin', {at})"
    keys = {
        "time": f"time_bucket(INTERVAL '{width}', {at})",
        "time, model": f"time_bucket(INTERVAL '{width}', {at}), model",
        "day": f"date_trunc('day', {local})",
        "hours": f"isodow({local}), hour({local})",
    }.get(group, group)
    start, end = (text.replace("+00:00", "Z") for text in (span["start"], span["end"]))
    condition = f"timestamp >= '{start}' AND timestamp < '{end}'"
    if "model" in parameters:
        condition += f" AND model = '{parameters['model']}'"
    shown = f"{keys}, " if keys else ""
    grouped = f" GROUP BY {keys}" if keys else ""
    sql = f"SELECT {shown}{_DUCK[aggregates]} FROM read_parquet('{parquet}') WHERE {condition}{grouped}"
    connection = duckdb.connect()
    connection.execute("SET timezone = 'UTC'")
    try:
        return _timed(lambda: connection.execute(sql).fetchall())
    finally:
        connection.close()


def _timed(question: Callable[[], object]) -> float:
    begun = time.perf_counter()
    question()
    return (time.perf_counter() - begun) * 1000


def ingestion(records: int, *, rolling_up: bool) -> tuple[float, float]:
    """Records per second, and per second of CPU, from a full journal into a fresh database."""
    collect_rarely()  # as the metrics process does
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        analytics_traffic.fill(folder / "journal", records)
        store = SqliteStore(folder / "metrics.db", after_insert=Folding() if rolling_up else None)
        connection = apsw.Connection(str(folder / "metrics.db"))
        write_state(connection, RollupState(tables=FINGERPRINT))
        connection.close()
        ingestor = Ingestor(store, folder / "journal", CounterBook())
        begun, begun_cpu = time.perf_counter(), time.process_time()
        while ingestor.step():
            pass
        elapsed, elapsed_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
        ingestor.stop(drain=False)
        store.close()
    return records / elapsed, records / elapsed_cpu


def percentile(values: Sequence[float], fraction: float) -> float:
    """Of all values, the one with that share below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def shown(out: Console, measured: Ours) -> None:
    """Print them."""
    found, whole, most, rate, sources = measured
    everything = [ms for by_range in found.values() for each in by_range.values() for ms in each]
    if not everything:
        raise SystemExit("the time was over before the first question: give it --minutes, or fewer --records")
    out.print(
        f"{len(everything)} questions while {rate:,.0f} records/s were stored: median "
        f"{statistics.median(everything):,.0f} ms, p95 {percentile(everything, 0.95):,.0f} ms; at most "
        f"{most / 1024**2:,.0f} MiB of memory; load {os.getloadavg()[0]:.1f}"
    )
    for asked, times in whole.items():
        out.print(f"{asked}, of everything: median {statistics.median(times):,.0f} ms, at most {max(times):,.0f} ms")
    table = Table("question: median ms (r: from records alone)", *RANGES)
    for name, by_range in found.items():
        cells = [
            f"{statistics.median(each):,.0f}{' r' if sources[f'{name}, {label}'] == 'records' else ''}"
            for label, each in by_range.items()
        ]
        table.add_row(name, *cells)
    out.print(table)


def of_clickhouse(out: Console, folder: Path, records: int, turns: int, limit: Clock) -> None:
    """The same, with the records in a ClickHouse on this machine, which makes them itself."""
    from tests.clickhouse.server import clickhouse_server, statement  # noqa: PLC0415

    from bench import clickhouse_data  # noqa: PLC0415 -- only with --store clickhouse
    from llm_metrics_proxy.engines.clickhouse.connection import Connection  # noqa: PLC0415
    from llm_metrics_proxy.engines.clickhouse.prepare import prepare  # noqa: PLC0415
    from llm_metrics_proxy.engines.clickhouse.table import TABLE  # noqa: PLC0415
    from llm_metrics_proxy.store_address import StoreAccess, store_address  # noqa: PLC0415

    database = f"bench_{records}"
    with (
        tempfile.TemporaryDirectory(prefix="clickhouse-", dir=folder) as scratch,
        clickhouse_server(Path(scratch), memory_bytes=psutil.virtual_memory().total // 2) as server,
    ):
        statement(server, f"CREATE DATABASE {database}")
        address = store_address(server.url(database))
        assert address is not None
        connection = Connection(StoreAccess(address), timeout_s=600)
        prepare(connection)
        begun = time.monotonic()
        made = 0
        for made in clickhouse_data.make(connection, records):
            limit.tell(f"{made:,} of {records:,} records made")
            if limit.is_over():
                raise SystemExit(
                    f"only {made:,} of {records:,} records were made in the time: give it --minutes, or fewer --records"
                )
        size = "sum(bytes_on_disk)"
        parts = f"FROM system.{{}} WHERE active AND database = '{database}'"
        whole = connection.value(f"SELECT {size} {parts.format('parts')}")
        projected = connection.value(f"SELECT {size} {parts.format('projection_parts')}")
        out.print(
            f"{records:,} records made in {time.monotonic() - begun:,.0f} s; {whole / records:,.0f} bytes each, "
            f"{projected / records:,.0f} of them projections; load {os.getloadavg()[0]:.1f}"
        )
        with tempfile.TemporaryDirectory(prefix="run-", dir=folder) as run:
            counted = f"SELECT count() FROM {TABLE} SETTINGS optimize_use_projections = 0"
            shown(out, ours(Path(run), turns, lambda: int(connection.value(counted)), limit, server.url(database)))
        connection.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the data if it is not there, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.analytics", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--turns", type=int, default=5, help="how often each question is asked over each range")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bench-analytics")
    parser.add_argument("--alone", action="store_true", help="without DuckDB and plain SQL, which take minutes")
    parser.add_argument(
        "--store", choices=("sqlite", "clickhouse"), default="sqlite", help="which engine has the records"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="when it stops asking, and making records")
    given = parser.parse_args(arguments)
    limit = Clock(given.minutes)
    out = Console(width=150)
    if given.store == "clickhouse":
        given.folder.mkdir(parents=True, exist_ok=True)
        of_clickhouse(out, given.folder, given.records, given.turns, limit)
        return
    analytics_data.make(given.folder, given.records)
    out.print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for rolling_up in (False, True):
        per_s, per_cpu_s = ingestion(200_000, rolling_up=rolling_up)
        words = "with" if rolling_up else "without"
        out.print(f"ingestion {words} roll-ups: {per_s:,.0f} records/s, {per_cpu_s:,.0f} per second of CPU")
    with tempfile.TemporaryDirectory(prefix="run-", dir=given.folder) as scratch:
        path = Path(scratch) / "metrics.db"
        shutil.copyfile(given.folder / "metrics.db", path)
        measured = ours(Path(scratch), given.turns, lambda: _records(path), limit)
    shown(out, measured)
    found = measured.found
    if given.alone:
        return
    others: tuple[tuple[str, Callable[[str, float | None], float]], ...] = (
        ("DuckDB over Parquet", lambda name, hours: by_duckdb(given.folder / "records.parquet", name, hours)),
        ("SQL on the raw table", lambda name, hours: plain_sql(given.folder / "metrics.db", QUESTIONS[name][0], hours)),
    )
    for title, asked_there in others:
        table = Table(f"{title}: ms, and how many times ours", *RANGES)
        for name, by_range in found.items():
            cells = []
            for label, hours in RANGES.items():
                ms = asked_there(name, hours)
                cells.append(f"{ms:,.0f} ({ms / statistics.median(by_range[label]):,.1f}x)")
            table.add_row(name, *cells)
        out.print(table)


if __name__ == "__main__":
    main()
