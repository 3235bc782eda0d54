"""New options from the supervisor, and its end."""

import os
import sys
import threading
from io import FileIO

import msgspec
import pytest

from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.reloads import Reloads, listen_to_the_supervisor
from tests.options import metrics_options
from tests.waiting import wait_until

FIRST, SECOND, THIRD = (metrics_options(public_prices=public, retention_days=days) for public, days in
                        ((True, 1), (False, 2), (True, 3)))  # fmt: skip


def test_what_came_before_anybody_takes_it_is_kept_but_only_the_newest() -> None:
    reloads, taken = Reloads(), list[MetricsOptions]()
    reloads.put(FIRST)
    reloads.put(SECOND)
    reloads.hand_to(taken.append)
    reloads.put(THIRD)
    assert taken == [SECOND, THIRD]


def test_lines_are_options_however_they_are_cut_and_the_end_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    reloads, taken, stop = Reloads(), list[MetricsOptions](), threading.Event()
    reloads.hand_to(taken.append)
    with FileIO(reads, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        listener = threading.Thread(target=listen_to_the_supervisor, args=(stop, reloads))
        listener.start()
        line = msgspec.json.encode(SECOND) + b"\n"
        os.write(writes, line[:100])
        os.write(writes, line[100:])
        wait_until(lambda: taken == [SECOND])
        assert not stop.is_set()
        os.close(writes)
        listener.join(10)
    assert stop.is_set()
    assert taken == [SECOND]
