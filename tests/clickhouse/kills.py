"""Kills of shippers and of the server at random moments, while requests come: every record must be there, once.

The long run, ten seeds of 80,000 records and 40 kills:

    python -m tests.clickhouse.kills --seeds 10 --records 80000 --kills 40
"""

import argparse
import http.client
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from llm_metrics_proxy.journal import JournalWriter
from tests.clickhouse.server import ClickHouseServer, clickhouse_server, statement
from tests.journal_parts import a_record, an_ended_record
from tests.waiting import wait_until

_AT_ONCE: Final = 50
# The metrics process's own parts: journal, ingester, control store, outbox, shipper.
_SHIPPER: Final = """
import logging, sys
from pathlib import Path
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines.clickhouse.connection import StoreAccess
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.store_address import store_address
logging.basicConfig(level=logging.INFO)
folder, host, url = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
store = ClickHouseStore(
    folder / "metrics.db", StoreAccess(store_address(url)), host=host, outbox_bytes=int(sys.argv[4]), interval_s=0.01
)
Ingestor(store, folder / "journal", CounterBook(), batch_rows=500, interval_s=0.02).start()
sys.stdin.read()
"""

_RUNNING: Final = "SELECT query_id FROM system.processes WHERE query_kind = 'Insert' AND query_id LIKE '%:host-%'"


class Found(NamedTuple):
    """What came of a run."""

    records: int
    stored: int
    distinct: int
    lost: int
    kills_of_shippers: int
    kills_of_server: int
    found_there: int  # how often some records were there already whose INSERT was not answered
    seconds: float

    @property
    def is_exact(self) -> bool:
        """None lost, none double."""
        return self.stored == self.distinct == self.records and not self.lost


class Shipper:
    """A process that takes one host's journal to ClickHouse."""

    def __init__(self, folder: Path, host: str, url: str, outbox_bytes: int) -> None:
        self.folder = folder
        self._command = (sys.executable, "-c", _SHIPPER, str(folder), host, url, str(outbox_bytes))
        folder.mkdir()
        self._start()

    def _start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)
        assert self._process.stdin is not None
        self._process.stdin.close()

    def restart(self) -> None:
        self.kill()
        self._start()


@contextmanager
def shippers(server: ClickHouseServer, folder: Path, hosts: int, outbox_bytes: int) -> Iterator[list[Shipper]]:
    """One for each host, gone afterwards."""
    running: list[Shipper] = []
    try:
        for index in range(hosts):
            running.append(Shipper(folder / f"host-{index}", f"host-{index}", server.url(), outbox_bytes))  # noqa: PERF401
        yield running
    finally:
        for shipper in running:
            shipper.kill()


def write(folder: Path, first: int, records: int, seconds: float) -> None:
    """A worker's journal, at an even rate."""
    writer = JournalWriter(folder / "journal", f"{first:x}", segment_bytes=200_000)
    begun = time.monotonic()
    for index in range(records):
        writer.opened(a_record(first + index))
        writer.closed(an_ended_record(first + index))
        if index % _AT_ONCE == 0:
            writer.flush()
            time.sleep(max(0.0, begun + seconds * index / records - time.monotonic()))
    writer.close()


def run(
    folder: Path, seed: int, *, records: int, kills: int, pause_s: float, hosts: int = 3, outbox_bytes: int = 2_000_000
) -> Found:
    """Records of several hosts, and so many kills while they come, ``pause_s`` apart on average. It is to be longer
    than a shipper or the server takes to start, or they never come to send anything."""
    rng, begun = random.Random(seed), time.monotonic()
    each = records // hosts
    of_shippers = of_server = 0
    with clickhouse_server(folder) as server, shippers(server, folder, hosts, outbox_bytes) as running:
        writers = [
            threading.Thread(target=write, args=(shipper.folder, 1 + index * each, each, kills * pause_s))
            for index, shipper in enumerate(running)
        ]
        for writer in writers:
            writer.start()
        for _ in range(kills):
            time.sleep(rng.uniform(0.0, 2 * pause_s))
            is_server = rng.random() < 0.35
            # Half of them as soon as an INSERT is seen to run, which is a small part of the time.
            victim = _sending(server, running) if rng.random() < 0.5 else None
            (server if is_server else victim or rng.choice(running)).restart()
            of_server += is_server
            of_shippers += not is_server
        for writer in writers:
            writer.join()
        expected = {f"{index:032x}" for index in range(1, 1 + each * hosts)}

        def stored() -> int:
            if statement(server, "EXISTS completion_requests") == "0\n":
                return 0
            return int(statement(server, "SELECT uniqExact(request_id) FROM completion_requests"))

        wait_until(lambda: stored() >= len(expected), lambda: f"{stored()} of {len(expected)} are stored", 120)
        wait_until(lambda: _is_idle(running), "the outboxes are empty", 60)
        rows = statement(server, "SELECT host, arrival, request_id FROM completion_requests").splitlines()
        ids = {row.split("\t")[2] for row in rows}
        assert len({tuple(row.split("\t")[:2]) for row in rows}) == len(rows), "a number was given twice"
        found_there = sum((shipper.folder / "log").read_text().count("ClickHouse had") for shipper in running)
    return Found(
        records=len(expected),
        stored=len(rows),
        distinct=len(ids),
        lost=len(expected - ids),
        kills_of_shippers=of_shippers,
        kills_of_server=of_server,
        found_there=found_there,
        seconds=round(time.monotonic() - begun, 1),
    )


def _sending(server: ClickHouseServer, running: list[Shipper]) -> Shipper | None:
    """Whose INSERT runs at this moment; none if there was none for a while."""
    deadline = time.monotonic() + 1.0
    with closing(http.client.HTTPConnection(server.netloc, timeout=10)) as connection:
        while time.monotonic() < deadline:
            connection.request("POST", "/", _RUNNING.encode())
            for query_id in connection.getresponse().read().decode().split():
                return running[int(query_id.split(":")[1].removeprefix("host-"))]
    return None


def _is_idle(running: list[Shipper]) -> bool:
    for shipper in running:
        connection = apsw.Connection(str(shipper.folder / "metrics.db"), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            if connection.execute("SELECT count(*) FROM outbox").get:
                return False
        finally:
            connection.close()
    return True


def main() -> int:
    """Print a line for each seed; 1 if any record was lost or stored twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--records", type=int, default=80_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--pause-s", type=float, default=1.5)
    given = parser.parse_args()
    wrong = 0
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found = run(Path(folder), seed, records=given.records, kills=given.kills, pause_s=given.pause_s)
        wrong += not found.is_exact
        print(f"seed {seed}: {'exact' if found.is_exact else 'WRONG'}, {found}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
