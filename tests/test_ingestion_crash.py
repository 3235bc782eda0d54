"""``kill -9`` of real ingesting and real writing processes at random moments, many times over.

A worker process tells through a pipe what it has flushed, so the oracle knows what the kernel had taken:

    closed frame flushed        exactly one row, completed
    only opened frame flushed   exactly one row, crashed (completed if it died between its last flush and telling)
    neither told                at most one row
"""

import os
import random
import signal
import time
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.ingestion import Ingestor
from llm_metrics_proxy.journal import JournalWriter
from llm_metrics_proxy.record import Outcome
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.counted import snapshot
from tests.journal_parts import a_record, an_ended_record

pytestmark = pytest.mark.system

ROUNDS = 150


def report(index: int) -> str:
    """Servers begin to report in other words again and again, and soon come back to those they had."""
    return f'{{"usage":{{"prompt_tokens":{index},"of_{index // 5 % 1_000}":{index % 7}}}}}'


def fork_worker(journal: Path, first_index: int, seed: int) -> tuple[int, int]:
    """A process that records requests until it is killed; returns its pid and the pipe on which it tells of flushes."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        return pid, told
    try:
        rng = random.Random(seed)
        writer = JournalWriter(journal, f"{seed:x}", segment_bytes=rng.choice([500, 5_000, 1 << 20]))
        index = first_index
        running: list[int] = []
        while True:
            news = []
            for _ in range(rng.randint(1, 6)):
                if running and rng.random() < 0.5:
                    ended = running.pop(rng.randrange(len(running)))
                    writer.closed(an_ended_record(ended, usage_reported=report(ended)))
                    news.append(f"c{ended}")
                else:
                    writer.opened(a_record(index))
                    running.append(index)
                    news.append(f"o{index}")
                    index += 1
            writer.flush()
            os.write(tell, f"{' '.join(news)}\n".encode())
            time.sleep(0.0005)
    finally:
        os._exit(1)


def fork_ingester(database: Path, journal: Path, batch_rows: int) -> int:
    """A process that ingests as fast as it can until it is killed."""
    if pid := os.fork():
        return pid
    try:
        ingestor = Ingestor(SqliteStore(database), journal, CounterBook(), batch_rows=batch_rows)
        while True:
            ingestor.step()
    finally:
        os._exit(1)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def read_told(pipe: int) -> list[str]:
    with os.fdopen(pipe, "rb") as file:
        lines = file.read().split(b"\n")[:-1]  # what follows the last newline was cut by the kill
    return [word for line in lines for word in line.decode().split()]


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_at_any_moment_leaves_each_request_exactly_one_row(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    journal, database = tmp_path / "journal", tmp_path / "metrics.db"
    opened: set[int] = set()
    closed: set[int] = set()
    pipes = []
    worker, pipe = fork_worker(journal, 0, seed * 1_000)
    pipes.append(pipe)
    for round_number in range(1, ROUNDS + 1):
        ingester = fork_ingester(database, journal, rng.choice([1, 20, 10_000]))
        time.sleep(rng.uniform(0.003, 0.04))
        if rng.random() < 0.3:
            kill(worker)
            worker, pipe = fork_worker(journal, round_number * 1_000_000, seed * 1_000 + round_number)
            pipes.append(pipe)
            time.sleep(rng.uniform(0, 0.01))
        kill(ingester)
    kill(worker)
    for pipe in pipes:
        for word in read_told(pipe):
            (opened if word[0] == "o" else closed).add(int(word[1:]))
    assert len(closed) > 1_000

    store = SqliteStore(database)
    ingestor = Ingestor(store, journal, CounterBook())
    for _ in range(20):
        ingestor.step()
    reader = SqliteReader(database)
    whole_report = SHORTENED["usage_reported"].format("usage_reported")
    rows = reader.query(f"SELECT request_id, outcome, {whole_report} FROM completion_requests")
    outcomes = {int(request_id, 16): outcome for request_id, outcome, _ in rows}
    assert {text for request_id, _, text in rows if text != report(int(request_id, 16))} <= {None}
    sql = "SELECT usage_reported FROM completion_requests WHERE usage_reported NOT NULL"
    stored = [text for (text,) in reader.query(sql)]
    assert sum(text[0] == "~" for text in stored) > len(closed) / 2
    ((shapes, last),) = reader.query("SELECT count(*), max(id) FROM usage_shapes")
    assert shapes == last > 50
    assert len(outcomes) == len(rows)
    assert {outcomes.get(index) for index in closed} == {Outcome.COMPLETED}
    assert {outcomes.get(index) for index in opened - closed} <= {Outcome.COMPLETED, Outcome.PROXY_CRASHED}
    assert Outcome.PROXY_CRASHED in outcomes.values()
    assert ingestor.status().records_rejected == 0
    assert ingestor.status().damaged_bytes == 0
    counted = CounterBook()
    counted.load(store.counters())
    assert sum(sum(series.outcomes.values()) for _, series in snapshot(counted)) == len(rows)
    left = [path.name for path in journal.iterdir()]
    assert [name for name in left if not name.endswith(".locking")] == ["reader.claim"]
    ingestor.stop(drain=False)
    reader.close()
    store.close()


def test_a_database_locked_for_seconds_by_another_process_loses_nothing(tmp_path: Path) -> None:
    journal, database = tmp_path / "journal", tmp_path / "metrics.db"
    SqliteStore(database).close()  # no connection is open while forking: a child must not inherit one
    ready, begun = os.pipe()
    holder = os.fork()
    if not holder:
        try:
            connection = apsw.Connection(str(database))
            connection.execute("BEGIN IMMEDIATE")
            os.write(begun, b"x")
            time.sleep(60)
        finally:
            os._exit(1)
    os.read(ready, 1)
    store = SqliteStore(database)
    ingestor = Ingestor(store, journal, CounterBook(), interval_s=0.02)
    ingestor.start()
    writer = JournalWriter(journal, "1", segment_bytes=5_000)
    for index in range(300):
        writer.opened(a_record(index))
        writer.closed(an_ended_record(index))
        writer.flush()
        time.sleep(0.005)
    writer.close()
    assert "locked" in str(ingestor.status().last_error)
    assert ingestor.status().records_ingested == 0
    kill(holder)
    ingestor.stop(drain=True, timeout_s=30)
    assert ingestor.status().records_ingested == 300
    for fd in (ready, begun):
        os.close(fd)
    store.close()
