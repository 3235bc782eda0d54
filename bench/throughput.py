"""Requests per second of answers that are not streamed, recording on, at 1 and at 64 connections; and CPU a request.

wrk sends a chat completion; an nginx on the load core answers with a fixed body, so that the proxy is what is slow. Our
metrics process runs on the load core, where it takes from wrk and the upstream, or (second figure) on the worker's;
then its CPU time counts as well.

CPU a request is the sturdier figure on a machine that others use: who takes a core away makes requests fewer, and
little dearer.
"""

import json
import shutil
import subprocess
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from bench import payload
from bench.figures import Figure, Unavailable, beside
from bench.peers import nginx
from bench.peers.peer import Subject
from bench.processes import LOAD_CORE, TEST_CORE, cpu_s, pinned, settle
from bench.run import Run

CONNECTIONS: Final = (1, 64)
_TOGETHER: Final = "ours, one core"
_SLOW_S: Final = 4.0  # at some 50 requests/s shorter runs would count few
_SCRIPT: Final = """\
wrk.method = "POST"
wrk.body = %s
for name, value in pairs({%s}) do wrk.headers[name] = value end
done = function(summary)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %%d, "duration_us": %%d, "errors": %%d}\\n', summary.requests,
    summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Measured(NamedTuple):
    """One turn of one subject."""

    requests_per_s: float
    cpu_us: float  # a request


def measure(run: Run, folder: Path) -> list[Figure]:
    """Throughput and CPU a request against each peer. Raises ``Unavailable`` without wrk or nginx."""
    figures = []
    with ExitStack() as stack:
        wrk = Wrk(folder)
        upstream = stack.enter_context(nginx.upstream(folder))
        ours, *peers = run.start(stack, folder, upstream, slow=True)
        both = (*ours.pids, *ours.recorder_pids)
        together = ours._replace(name=_TOGETHER, pids=both, recorder_core=TEST_CORE)
        for connections in CONNECTIONS:
            what = f"{connections} connection{'s' * (connections > 1)}"
            seen = run.turns(
                f"throughput, {what}",
                (*peers[:1], ours, together, *peers[1:]),  # the yardstick beside ours
                partial(_measure, wrk, connections, run.seconds),
            )
            for at, (key, words, unit) in enumerate(
                (("throughput", "throughput", "requests/s"), ("cpu", "CPU a request", "µs"))
            ):
                values = {name: [None if turn is None else turn[at] for turn in turns] for name, turns in seen.items()}
                figures += _figures(f"{key}.{connections}", f"{words}, {what}", unit, values)
        _check_records(ours, wrk.answered[ours.port])
    return figures


def _measure(wrk: "Wrk", connections: int, seconds: float, subject: Subject) -> Measured:
    before_s, before = cpu_s(subject.pids), wrk.answered[subject.port]
    rate = wrk.run(subject, connections, max(seconds, _SLOW_S) if subject.is_slow else seconds)
    settle([pid for pid in subject.recorder_pids if pid in subject.pids])  # whose storing counts has to have stored
    spent_us = (cpu_s(subject.pids) - before_s) * 1e6
    # What is still to be ingested, or still being answered to nobody (LiteLLM), must not disturb the next run.
    settle((*subject.pids, *subject.recorder_pids))
    return Measured(rate, spent_us / (wrk.answered[subject.port] - before))


class Wrk:
    """Runs wrk on the load core; ``answered`` counts the good answers by port."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise Unavailable("wrk is not installed (apt-get install wrk, or run tools/install-bench.sh as root)")
        fields = ", ".join(f'["{name}"] = "{value}"' for name, value in payload.FIELDS.items())
        script = folder / "chat.lua"
        script.write_text(_SCRIPT % (json.dumps(payload.body().decode()), fields))
        self.answered: Counter[int] = Counter()
        self._command = [program, "-t1", "--timeout", "30s", "-s", str(script)]

    def run(self, subject: Subject, connections: int, seconds: float) -> float:
        """One run; requests per second. A single failed request is a failed benchmark."""
        command = [*self._command, f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        with pinned(LOAD_CORE):
            done = subprocess.run(
                [*command, f"http://127.0.0.1:{subject.port}{payload.PATH}"],
                check=True, capture_output=True, text=True, timeout=seconds + 60,
            )  # fmt: skip
        result = json.loads(done.stdout.rpartition("RESULT ")[2])
        assert not result["errors"], f"{subject.name}: {result['errors']} of {result['requests']} requests failed"
        self.answered[subject.port] += result["requests"]
        rate: float = result["requests"] / result["duration_us"] * 1e6
        return rate


def _check_records(ours: Subject, answered: int) -> None:
    """Recording was on: each answered request is in the database (as is what wrk had under way when a run ended)."""
    connection = apsw.Connection(str(ours.database), flags=apsw.SQLITE_OPEN_READONLY)
    (completed,) = next(
        iter(connection.execute("SELECT count(*) FROM completion_requests WHERE outcome = 'completed'"))
    )
    connection.close()
    assert completed >= answered, f"{answered} requests were answered, {completed} are recorded as completed"


def _figures(key: str, what: str, unit: str, seen: dict[str, list[float | None]]) -> list[Figure]:
    together = {"ours": seen.pop(_TOGETHER, []), "nginx": seen.get("nginx", [])}
    words = f"{what}, storing on the same core"
    return beside(key, what, unit, seen) + beside(f"{key}.one_core", words, unit, together)
