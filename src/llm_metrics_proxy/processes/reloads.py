"""What the supervisor says to the metrics process while it runs: new options, line by line, and its own end."""

import logging
import os
import sys
import threading
from collections.abc import Callable

import msgspec

from llm_metrics_proxy.processes.metrics_options import MetricsOptions

log = logging.getLogger(__name__)


class Reloads:
    """New options, handed to their takers. From two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: MetricsOptions | None = None
        self._take: Callable[[MetricsOptions], None] | None = None

    def put(self, options: MetricsOptions) -> None:
        """The newest; an earlier one that nobody took yet is forgotten."""
        with self._lock:
            self._newest = options
            if self._take is not None:
                self._take(options)

    def hand_to(self, take: Callable[[MetricsOptions], None]) -> None:
        """From now on, and what came before."""
        with self._lock:
            self._take = take
            if self._newest is not None:
                take(self._newest)


def listen_to_the_supervisor(stop: threading.Event, reloads: Reloads) -> None:
    """Read standard input to its end, which means that the supervisor is gone; then set ``stop``."""
    rest = b""
    while piece := os.read(sys.stdin.fileno(), 65_536):
        *lines, rest = (rest + piece).split(b"\n")
        if lines:  # only the newest counts
            reloads.put(msgspec.json.decode(lines[-1], type=MetricsOptions))
    if not stop.is_set():
        log.warning("the supervisor is gone; storing what is left")
        stop.set()
