"""Kills of the migrator and of the server while history is carried, taken back, and new records come.

python -m tests.clickhouse.migration_kills --seeds 10 --kills 20
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse import shadow_state
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.errors import LlmMetricsProxyError, StoreBusyError
from llm_metrics_proxy.migration.model import RunState
from llm_metrics_proxy.storage.base import IngestBatch
from tests.clickhouse.history import access, all_of, fill, row
from tests.clickhouse.server import ClickHouseServer, clickhouse_server, statement
from tests.migration.test_recounting import NEXT
from tests.waiting import wait_until

_DATABASE: Final = "metrics"  # the one that is there is of an engine without UUIDs
_LIFETIME_S: Final = 3.0
# Goes on until the run is over, as the metrics process does.
_MIGRATOR: Final = f"""
import sys, time
from llm_metrics_proxy.engines.clickhouse.lease import Lease
from llm_metrics_proxy.engines.clickhouse.migrating import migrate, undo
from llm_metrics_proxy.errors import LlmMetricsProxyError, StoreBusyError
from llm_metrics_proxy.migration.model import Ended
from tests.clickhouse.history import access, call
lease = Lease(access(sys.argv[1]), lifetime_s={_LIFETIME_S})
lease.start()
while True:
    print("begins", flush=True)
    try:
        result = (undo if sys.argv[2] == "undo" else migrate)(call(sys.argv[1]), lease)
        print(result.ended, result.message, result.faults, flush=True)
        if result.ended in (Ended.DONE, Ended.NOTHING_TO_DO, Ended.UNDONE):
            break
    except LlmMetricsProxyError as error:
        print(error, flush=True)
        if "no migration that could be taken back" in str(error):
            break
    time.sleep(0.1)
lease.close()
"""


def _url(server: ClickHouseServer) -> str:
    return server.url(_DATABASE)


class Found(NamedTuple):
    """What came of a run; ``wrong``: keys whose record is lost, or neither as before nor as it should be."""

    wrong: list[tuple[str, int]]
    newer: int
    newer_stored: int
    kills: int
    of_server: int
    seconds: float


def run(folder: Path, seed: int, *, kills: int, records: int = 400, pause_s: float = 5.0) -> Found:
    """Carry over under kills, then take back under kills."""
    rng, begun, of_server = random.Random(seed), time.monotonic(), 0
    with clickhouse_server(folder / "server") as server, closing(Connection(access(_url(server)))) as connection:
        statement(server, f"CREATE DATABASE {_DATABASE}")
        fill(connection, records)
        before = all_of(connection)
        store = ClickHouseStore(folder / "metrics.db", access(_url(server)), host="one", interval_s=0.05)
        with closing(store):
            store.positions()
            stop, sent = threading.Event(), [0]

            def write() -> None:
                while not stop.wait(0.02):
                    with suppress(StoreBusyError):  # the shipper has the control store; the batch is not in it
                        store.append(IngestBatch(rows=[row(10_000 + sent[0], 4, NEXT), row(90_000 + sent[0], 1, NEXT)]))
                        sent[0] += 1

            writer = threading.Thread(target=write)
            writer.start()
            try:
                wait_until(lambda: store.shipping().shipped_records > 0, "new records come")
                wrong = []
                for way, state in (("migrate", RunState.DONE), ("undo", RunState.UNDONE)):
                    of_server += _under_kills(server, folder / f"{way}.log", way, rng, kills // 2, pause_s)
                    last = shadow_state.read(connection).last
                    assert last is not None
                    assert last[0].state is state, last
                    if way == "migrate":
                        wrong = _wrong_after(connection, before)
            finally:
                stop.set()
                writer.join()
            wait_until(lambda: store.shipping().waiting_records == 0, "new records are stored")
        now = all_of(connection)
        wrong += [key for key, values in before.items() if now.get(key) != values]
        newer = len(now) - len(before)
    return Found(wrong, 2 * sent[0], newer, kills, of_server, round(time.monotonic() - begun, 1))


def _wrong_after(connection: Connection, before: dict[tuple[str, int], tuple[object, ...]]) -> list[tuple[str, int]]:
    stamped = f"SELECT host, arrival FROM completion_requests WHERE app_version = '{NEXT}'"
    there = {(str(host), int(arrival)) for host, arrival in connection.query(stamped)}
    all_of(connection)  # none twice
    return [key for key in before if key not in there]


def _under_kills(server: ClickHouseServer, log: Path, way: str, rng: random.Random, kills: int, pause_s: float) -> int:
    """Until it has ended by itself; how often the server was killed."""
    of_server = 0
    command = (sys.executable, "-c", _MIGRATOR, _url(server), way)
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            for _ in range(kills):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(rng.uniform(0.0, 2 * pause_s))
                if rng.random() < 0.3:
                    server.restart()
                    of_server += 1
                else:
                    process.kill()
                    process.wait(60)
                    process = subprocess.Popen(command, stdout=out, stderr=out)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"it does not end: {log.read_text()[-3000:]}") from None
        finally:
            process.kill()
            process.wait(60)
    return of_server


def main() -> int:
    """Print a line for each seed; 1 if anything was lost, doubled or wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--kills", type=int, default=12)
    given = parser.parse_args()
    failed = False
    for seed in range(given.first, given.first + given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "server").mkdir()
            try:
                found = run(Path(folder), seed, kills=given.kills)
            except (AssertionError, LlmMetricsProxyError) as error:
                print(f"seed {seed}: {error}", flush=True)
                failed = True
                continue
        print(f"seed {seed}: {found}", flush=True)
        failed = failed or bool(found.wrong) or found.newer != found.newer_stored
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
