"""Requests per second of answers that are not streamed, recording on, at 1 and at 64 connections.

wrk sends a chat completion; an nginx on the load core answers with a fixed body, so that the proxy is what is slow. Our
metrics process runs on the load core, where it takes from wrk and the upstream, or (second figure) on the worker's.
"""

import json
import shutil
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw

from bench import payload, subjects
from bench.figures import Figure, Unavailable, against
from bench.processes import LOAD_CORE, TEST_CORE, pinned, settle
from bench.run import Run
from bench.subjects import Subject

CONNECTIONS: Final = (1, 64)
_SAME_CORE: Final = "ours, metrics process on the same core"
_WARM_S: Final = 1.0
_LITELLM_RUNS: Final = 2  # a ratio of hundreds needs no more
_LITELLM_S: Final = 4.0  # at some 50 requests/s shorter runs would count few
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


def measure(run: Run, folder: Path) -> list[Figure]:
    """Throughput against each peer. Raises ``Unavailable`` without wrk or nginx."""
    with ExitStack() as stack:
        wrk = Wrk(folder)
        upstream = stack.enter_context(subjects.nginx_upstream(folder))
        found = run.start(stack, folder, upstream, subjects.ours, subjects.nginx, subjects.aiohttp, subjects.litellm)
        ours, *peers = [subject for subject in found if subject is not None]
        figures = []
        for connections in CONNECTIONS:
            for subject in (ours, *peers):
                wrk.requests_per_s(subject, connections, _WARM_S)
            seen: dict[str, list[float]] = {}
            for turn in range(run.pairs):
                for core, name in ((LOAD_CORE, "ours"), (TEST_CORE, _SAME_CORE)):
                    run.say(f"throughput, {connections} connections: {name}")
                    ours.move_recorder(core)
                    seen.setdefault(name, []).append(wrk.requests_per_s(ours, connections, run.seconds))
                for peer in peers:
                    slow = peer.name == "LiteLLM"
                    if slow and turn >= _LITELLM_RUNS:
                        continue
                    run.say(f"throughput, {connections} connections: {peer.name}")
                    seconds = max(run.seconds, _LITELLM_S) if slow else run.seconds
                    seen.setdefault(peer.name, []).append(wrk.requests_per_s(peer, connections, seconds))
            figures += _figures(connections, seen)
        _check_records(ours, wrk.answered[ours.name])
    return figures


class Wrk:
    """Runs wrk on the load core; ``answered`` counts the good answers by subject."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("wrk")
        if program is None:
            raise Unavailable("wrk is not installed (apt-get install wrk, or run tools/install-bench.sh as root)")
        fields = ", ".join(f'["{name}"] = "{value}"' for name, value in payload.FIELDS.items())
        script = folder / "chat.lua"
        script.write_text(_SCRIPT % (json.dumps(payload.body().decode()), fields))
        self.answered: Counter[str] = Counter()
        self._command = [program, "-t1", "--timeout", "30s", "-s", str(script)]

    def requests_per_s(self, subject: Subject, connections: int, seconds: float) -> float:
        """One run, and the wait until the machine is at rest again. A single failed request is a failed benchmark."""
        rate = self.run(subject, connections, seconds)
        # What is still to be ingested, or still being answered to nobody (LiteLLM), must not disturb the next run.
        settle((*subject.pids, *subject.recorder_pids))
        return rate

    def run(self, subject: Subject, connections: int, seconds: float) -> float:
        """One run alone."""
        command = [*self._command, f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        with pinned(LOAD_CORE):
            done = subprocess.run(
                [*command, f"http://127.0.0.1:{subject.port}{payload.PATH}"],
                check=True, capture_output=True, text=True, timeout=seconds + 60,
            )  # fmt: skip
        result = json.loads(done.stdout.rpartition("RESULT ")[2])
        assert not result["errors"], f"{subject.name}: {result['errors']} of {result['requests']} requests failed"
        self.answered[subject.name] += result["requests"]
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


def _figures(connections: int, seen: dict[str, list[float]]) -> list[Figure]:
    what = f"throughput, {connections} connection{'s' * (connections > 1)}"
    figures = []
    for peer in ("nginx", "aiohttp", "LiteLLM"):
        if peer in seen:
            ours = seen["ours"][: len(seen[peer])]
            key = f"throughput.{connections}.{peer.lower()}"
            figures.append(against(key, what, "requests/s", ours=ours, peer=peer, theirs=seen[peer]))
    if "nginx" in seen:
        key = f"throughput.{connections}.nginx.same_core"
        together = f"{what}, metrics process on the worker's core"
        ours = seen[_SAME_CORE]
        figures.append(against(key, together, "requests/s", ours=ours, peer="nginx", theirs=seen["nginx"]))
    return figures
