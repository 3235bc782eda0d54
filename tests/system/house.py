"""One data folder, one pair of ports, one fake server, and as many lives of ``serve`` as a story needs."""

import contextlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.stack import Stack
from tests.system.load import Load
from tests.system.scraper import scrape, total
from tests.system.truth import Row, read_progress, read_rows
from tests.upstream import FakeUpstream, unused_port
from tests.waiting import PATIENCE_S, wait_until

WORKERS: Final = 2
SOAK_S: Final = float(os.environ.get("SYSTEM_SOAK_S", "14"))


def kill(pid: int) -> None:
    """``kill -9``; dead already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class House:
    """``live()`` is one life of ``serve``; the data folder and the ports are the same in all of them."""

    def __init__(self, folder: Path, upstream: FakeUpstream, *flags: str, workers: int = WORKERS) -> None:
        self.port, self.metrics_port = unused_port(), unused_port()
        self.data_dir = folder / "data"
        self.database = self.data_dir / "metrics.db"
        self.journal = self.data_dir / "journal"
        self.lives = 0
        self.starts_refused = 0  # because the port was still in use
        self._folder = folder
        self._upstream = upstream
        self.flags = flags
        self._workers = workers

    def live(self, *flags: str) -> Stack:
        """The next life, to be entered."""
        self.lives += 1
        return Stack(
            self._upstream.url, self._folder, *self.flags, *flags, workers=self._workers,
            ports=(self.port, self.metrics_port), log_name=f"serve-{self.lives}.log",
        )  # fmt: skip

    @contextlib.contextmanager
    def live_as_soon_as_the_port_is_free(self, *flags: str) -> Iterator[Stack]:
        """The next life. Before it, ``serve`` may refuse to start, and must say why."""
        deadline = time.monotonic() + PATIENCE_S
        with contextlib.ExitStack() as entered:
            while True:
                stack = self.live(*flags)
                try:
                    entered.enter_context(stack)
                except AssertionError:
                    words = stack.log.read_text()
                    assert "is in use" in words, words
                    assert time.monotonic() < deadline, f"the port is still not free: {words}"
                    self.starts_refused += 1
                else:
                    break
            yield stack

    def load(self, *kinds: str, **options: Any) -> Load:
        """Clients of the proxy."""
        return Load(self.port, kinds, **options)

    def rows(self) -> list[Row]:
        """Every record."""
        return read_rows(self.database)

    def health(self) -> dict[str, Any]:
        """By the metrics port: the proxy's own tells strangers its status alone."""
        return get_json(self.metrics_port, "/health")

    def proxy_status(self) -> str:
        """What the proxy's own says."""
        return str(get_json(self.port, "/health")["status"])

    def dropped(self) -> int:
        """Records that were dropped since the workers began."""
        return sum(worker["records_dropped"] for worker in self.health()["workers"])

    def settle(self, stack: Stack) -> list[Row]:
        """Wait until nothing is left to ingest, and the counters of Prometheus agree with the table; the table."""
        wait_until(lambda: self.is_settled(stack), lambda: stack.get("/health"))
        rows = self.rows()
        expected = _counters_of(rows)
        wait_until(lambda: self._counters() == expected, lambda: (self._counters(), expected))
        return rows

    def _counters(self) -> dict[str, float]:
        samples = scrape(self.metrics_port)
        return {
            "requests": total(samples, "llm_proxy_requests_total"),
            "completed": total(samples, "llm_proxy_requests_total", outcome="completed"),
            "crashed": total(samples, "llm_proxy_requests_total", outcome="proxy_crashed"),
            "successes": total(samples, "llm_proxy_request_success_total"),
            "errors": total(samples, "llm_proxy_errors_total"),
            "latencies": total(samples, "llm_proxy_e2e_request_latency_seconds_count"),
            "prompt tokens": total(samples, "llm_proxy_prompt_tokens_total"),
            "generation tokens": total(samples, "llm_proxy_generation_tokens_total"),
        }

    def is_settled(self, stack: Stack) -> bool:
        """No request is open, and everything that there is to tell of them is in the database.

        A worker tells of what it dropped, or still holds, once there is room again: within a second, not at once.
        """
        health = stack.get("/health")
        ingestion = health["ingestion"]
        assert ingestion["damaged_bytes"] == ingestion["unknown_frames"] == ingestion["records_rejected"] == 0
        unfinished = ("open_requests", "records_waiting", "losses_untold")
        idle = not any(worker[name] for worker in health["workers"] for name in unfinished)
        return idle and self._is_all_read()

    def _is_all_read(self) -> bool:
        """By the files themselves: what /health says of the lag is as old as the last look at the journal."""
        progress = read_progress(self.database)
        try:
            sizes = {path.name: path.stat().st_size for path in self.journal.glob("*.journal")}
        except FileNotFoundError:  # it was deleted just now: something is still going on
            return False
        return progress.open_requests == 0 and all(progress.offsets.get(name) == size for name, size in sizes.items())

    def assert_tidy(self) -> None:
        """After an orderly end nothing waits in the journal."""
        left = [path.name for path in self.journal.iterdir() if path.suffix in {".journal", ".lock"}]
        assert left == []


def _counters_of(rows: list[Row]) -> dict[str, float]:
    """What Prometheus must say of these records."""
    return {
        "requests": len(rows),
        "completed": sum(row["outcome"] == "completed" for row in rows),
        "crashed": sum(row["outcome"] == "proxy_crashed" for row in rows),
        "successes": sum(row["success"] for row in rows),
        "errors": sum(not row["success"] for row in rows),
        "latencies": sum(row["response_time_ms"] is not None for row in rows),
        "prompt tokens": sum(row["prompt_tokens"] or 0 for row in rows),
        "generation tokens": sum(row["completion_tokens"] or 0 for row in rows),
    }


def get_json(port: int, path: str) -> dict[str, Any]:
    """A JSON answer from loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            found: dict[str, Any] = json.loads(response.read())
            return found
    finally:
        connection.close()
