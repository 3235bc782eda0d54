"""Processes that claim one lease, killed, stopped and continued at random: when did each believe that it holds it?

python -m tests.clickhouse.claimants --seconds 600
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from llm_metrics_proxy.engines.clickhouse.lease import clock
from tests.clickhouse.server import ClickHouseServer, clickhouse_server

# Writes a line whenever it is asked and holds: when it was asked, and the term. The clock is that of this machine, on
# which the server runs, so the times of all of them can be compared.
_CLAIMANT: Final = """
import sys, time
from llm_metrics_proxy.engines.clickhouse.lease import Lease, clock
from llm_metrics_proxy.store_address import StoreAccess, store_address
lease = Lease(StoreAccess(store_address(sys.argv[1])), lifetime_s=float(sys.argv[2]))
lease.start()
with open(sys.argv[3], "a", buffering=1) as out:
    while True:
        asked = clock()
        if lease.held() and (term := lease.term()) is not None:
            out.write(f"{asked} {term.generation} {term.token} {term.begins} {term.ends}\\n")
        time.sleep(0.01)
"""


class Held(NamedTuple):
    """One claim, as its process saw it: from when to when it could have said that it holds."""

    generation: int
    token: str
    begins: float
    ends: float


class Found(NamedTuple):
    """What came of a run. ``longest_gap_s``: without any holder; ``overlaps``: pairs that held at one time."""

    terms: int
    overlaps: list[tuple[Held, Held]]
    longest_gap_s: float
    kills: int
    stops: int


class _Claimant:
    def __init__(self, url: str, lifetime_s: float, log: Path) -> None:
        self._command = (sys.executable, "-c", _CLAIMANT, url, str(lifetime_s), str(log))
        self.process = subprocess.Popen(self._command)

    def restart(self) -> None:
        self.end()
        self.process = subprocess.Popen(self._command)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(60)


def run(
    server: ClickHouseServer, url: str, folder: Path, seed: int, *, seconds: float, claimants: int = 4,
    lifetime_s: float = 1.5, kills_server: bool = False, least: int = 1,
) -> Found:  # fmt: skip
    """So many processes for so long, and on until ``least`` of them have held it, or for a minute; then nothing more
    happens to them until one holds it again."""
    rng, kills, stops = random.Random(seed), 0, 0
    logs = [folder / f"claimant-{index}" for index in range(claimants)]
    running = [_Claimant(url, lifetime_s, log) for log in logs]
    stopped: dict[int, float] = {}
    begun, end = clock(), clock() + seconds
    try:
        while clock() < end or (len(_terms(logs)) < least and clock() < end + 60):
            time.sleep(rng.uniform(0.02, 0.6))
            for index in [index for index, until in stopped.items() if until < clock()]:
                running[index].process.send_signal(signal.SIGCONT)
                del stopped[index]
            victim = rng.randrange(claimants)
            chosen = _holder(logs) if rng.random() < 0.6 else victim  # most of all, whoever holds it
            chance = rng.random()
            if kills_server and chance < 0.08:
                server.restart()
            elif chance < 0.25:
                running[chosen].restart()
                stopped.pop(chosen, None)
                kills += 1
            elif chance < 0.6 and chosen not in stopped:
                running[chosen].process.send_signal(signal.SIGSTOP)
                stopped[chosen] = clock() + rng.uniform(0.05, 5 * lifetime_s)
                stops += 1
        for index in stopped:
            running[index].process.send_signal(signal.SIGCONT)
        _wait_for_a_holder(logs, clock(), 20 * lifetime_s + 10)
    finally:
        for each in running:
            each.end()
    held = sorted(_terms(logs), key=lambda each: each.begins)
    overlaps = [(one, two) for one, two in pairwise(held) if two.begins < one.ends]
    gaps = [two.begins - one.ends for one, two in pairwise(held)]
    return Found(len(held), overlaps, max([held[0].begins - begun, *gaps]), kills, stops)


def _holder(logs: list[Path]) -> int:
    """Who wrote last."""
    return max(range(len(logs)), key=lambda index: logs[index].stat().st_mtime if logs[index].exists() else 0)


def _wait_for_a_holder(logs: list[Path], since: float, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not any(each.ends > since and each.begins >= 0 for each in _terms(logs)):
        assert time.monotonic() < deadline, "nobody holds the lease"
        time.sleep(0.05)


def _terms(logs: list[Path]) -> list[Held]:
    found: dict[tuple[int, str], Held] = {}
    for log in logs:
        for line in log.read_text().splitlines() if log.exists() else ():
            if len(words := line.split()) != 5:  # a process was killed while it wrote
                continue
            asked, generation, token, begins, ends = words
            key = (int(generation), token)
            before = found.get(key, Held(*key, float(asked), 0.0))
            # the whole term counts, not just when it was asked; but none was asked before the claimant could know
            found[key] = Held(*key, min(before.begins, float(begins)), max(before.ends, float(ends)))
    return list(found.values())


def main() -> int:
    """Print what came of it; 1 if two ever held it at one time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, clickhouse_server(Path(folder)) as server:
        found = run(server, server.url(), Path(folder), given.seed, seconds=given.seconds, kills_server=True)
    print(found)
    return bool(found.overlaps)


if __name__ == "__main__":
    sys.exit(main())
