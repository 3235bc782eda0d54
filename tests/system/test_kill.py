"""``kill -9`` of any process, at random moments, under load: every request still has exactly one true record.

A moment is a number of answers that came since the kill before, so that work lies between any two, however slow the
machine is, and that whoever was killed has to be back, or be done without.

``SYSTEM_SOAK_S=600 pytest -s tests/system/test_kill.py`` soaks for ten minutes per kind (default: 14 s), and
``SYSTEM_SEED`` names other moments.
"""

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import psutil  # type: ignore[import-untyped]
import pytest

from tests.stack import Stack
from tests.system.house import SOAK_S, House, kill
from tests.system.kinds import MIXED
from tests.system.load import Load, Note, Seen
from tests.system.scraper import Scraper
from tests.system.truth import Verdict, compare
from tests.waiting import wait_until

pytestmark = pytest.mark.system

SEED: Final = os.environ.get("SYSTEM_SEED", "1")
_LEAST_ROUNDS: Final = 4  # even where they take longer than the soak
_KILLS_PER_LIFE: Final = 4  # after each one the supervisor waits twice as long; a fresh one is fast again
_FLAGS: Final = (
    (),
    ("--journal-fsync", "always"),
    ("--journal-segment-bytes", "65536", "--ingest-interval-ms", "10"),
    ("--ingest-batch-rows", "1"),
)
Victims = Callable[[House, Stack, random.Random], list[int]]


def some_workers(house: House, stack: Stack, rng: random.Random) -> list[int]:
    """One worker, or both; only such as have started (five that die before that are a reason to give up)."""
    started = {worker["pid"] for worker in stack.get("/health")["workers"]}
    running = [pid for pid in stack.worker_pids() if pid in started]
    return rng.sample(running, min(len(running), rng.choice([1, 1, 2])))


def the_metrics_process(house: House, stack: Stack, rng: random.Random) -> list[int]:
    """Also while it starts: opening the database is part of what must survive."""
    return stack.metrics_pids()


@pytest.mark.parametrize("victims", [some_workers, the_metrics_process])
def test_a_child_that_is_killed_again_and_again_costs_no_record(house: House, victims: Victims) -> None:
    rng = random.Random(SEED)
    rounds = 0
    until = time.monotonic() + SOAK_S
    with Scraper(house.metrics_port), house.load(*MIXED) as load:
        while time.monotonic() < until or rounds < _LEAST_ROUNDS:
            with house.live(*rng.choice(_FLAGS)) as stack:
                for _ in range(_KILLS_PER_LIFE):
                    _wait_for_answers(load, rng.randint(1, 60))
                    for pid in _soon(partial(victims, house, stack, rng)):
                        kill(pid)
                    rounds += 1
        verdict = _judge(house, load.stop)
    print(f"\n{victims.__name__}: {rounds} rounds, {house.lives} lives, {verdict}")
    assert (verdict.crashed > 0) is (victims is some_workers)


def _soon(victims: Callable[[], list[int]]) -> list[int]:
    """The first of them that exist: what was killed last may not be back yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):  # nor may the metrics process, of which the workers' pids are asked
            if pids := victims():
                return pids
        time.sleep(0.02)
    raise AssertionError("nobody to kill for 30 s")


def _wait_for_answers(load: Load, count: int) -> None:
    """So many whole ones more than there are now."""
    wanted = load.count(Seen.WHOLE) + count
    wait_until(lambda: load.count(Seen.WHOLE) >= wanted, lambda: f"{wanted} answers, not {load.count(Seen.WHOLE)}")


def test_a_killed_supervisor_leaves_children_that_drain_and_end_and_the_next_one_takes_over(house: House) -> None:
    rng = random.Random(SEED)
    rounds = 0
    until = time.monotonic() + SOAK_S
    with Scraper(house.metrics_port), house.load(*(MIXED * 6), "long") as load:
        while time.monotonic() < until or rounds < _LEAST_ROUNDS:
            with house.live_as_soon_as_the_port_is_free() as stack:
                _wait_for_answers(load, rng.randint(1, 100))
                orphans = [*stack.worker_pids(), *stack.metrics_pids()]
                stack.kill_supervisor()
                rounds += 1
            if rng.random() < 0.3:
                _wait_for_the_end_of(orphans)
        verdict = _judge(house, load.stop)
    _wait_for_the_end_of(orphans)
    print(f"\nsupervisor: {rounds} rounds, the port was in use {house.starts_refused} times, {verdict}")
    assert verdict.crashed == 0


def test_an_orphan_that_hangs_is_named_by_the_next_start_and_loses_nothing_once_it_goes_on(house: House) -> None:
    with house.load("slow", "plain") as load:
        with house.live() as stack, contextlib.ExitStack() as held:
            wait_until(lambda: load.count(Seen.WHOLE) > 50, "50 answers")
            orphans = stack.worker_pids()
            # Stopped first, they would be continued by the kernel: it sends SIGCONT to a stopped process group whose
            # last parent ends. So they are kept from seeing its death, by their standard input, until they are stopped.
            for pid in orphans:
                held.callback(os.close, os.open(f"/proc/{pid}/fd/0", os.O_WRONLY))
            stack.kill_supervisor()
            for pid in orphans:
                os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: all(psutil.Process(pid).status() == "stopped" for pid in orphans), "stopped workers")
        stack = house.live()
        with pytest.raises(AssertionError, match="the process ended with 1"), stack:
            pass
        assert re.search(
            rf"127.0.0.1:{house.port} is in use by pid ({orphans[0]}|{orphans[1]}) ", stack.log.read_text()
        )
        for pid in orphans:
            os.kill(pid, signal.SIGCONT)
        _wait_for_the_end_of(orphans)
        verdict = _judge(house, load.stop)
    print(f"\nhanging orphans: {verdict}")
    assert verdict.crashed == 0


def test_everything_killed_at_once_costs_no_record(house: House) -> None:
    rng = random.Random(SEED)
    rounds = 0
    until = time.monotonic() + SOAK_S
    with Scraper(house.metrics_port), house.load(*MIXED) as load:
        while time.monotonic() < until or rounds < _LEAST_ROUNDS:
            with house.live_as_soon_as_the_port_is_free(*rng.choice(_FLAGS)) as stack:
                _wait_for_answers(load, rng.randint(1, 150))
                pids = [*stack.worker_pids(), *stack.metrics_pids()]
                rng.shuffle(pids)
                stack.kill_supervisor()
                for pid in pids:
                    kill(pid)
                rounds += 1
        verdict = _judge(house, load.stop)
    print(f"\neverything: {rounds} rounds, {verdict}")
    assert verdict.crashed > 0


def _judge(house: House, stop_load: Callable[[], list[Note]]) -> Verdict:
    """One last, undisturbed life ingests what is left; then every note is held against the table."""
    with house.live_as_soon_as_the_port_is_free() as stack:
        notes = stop_load()
        settled = house.settle(stack)
    rows = house.rows()
    assert len(rows) == len(settled)
    house.assert_tidy()
    return compare(notes, rows)


def _wait_for_the_end_of(pids: list[int]) -> None:
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), f"the end of {pids}")
