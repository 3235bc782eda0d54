"""Run this release, send it requests of every kind, and keep the database it leaves as ``<version>.db``.

    python -m tools.make_golden_database                          of this checkout: `make golden`
    python -m tools.make_golden_database --source other/src       of another one

The file is what later versions are tested on: it must open, migrate and come back for as long as this program exists.
Everything runs on loopback, on ports that the kernel chooses, in a folder that is gone afterwards.
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import apsw

from tools.fingerprint import GOLDEN, ROOT, released

_PROGRAM: Final = "import sys; sys.argv[0] = 'llm-metrics-proxy'; from llm_metrics_proxy.cli import main; main()"
_PATIENCE_S: Final = 120.0
_CHAT: Final = "/v1/chat/completions"


class Ask(NamedTuple):
    """One request. ``leaves``: the client hangs up after its first bytes. ``body`` bytes are sent as they are."""

    path: str = _CHAT
    body: Mapping[str, Any] | bytes | None = None
    fields: Mapping[str, str] = {}
    method: str = "POST"
    leaves: bool = False


def _chat(
    more: Mapping[str, Any] = {}, *, model: str = "demo-small", words: int = 12, fault: str = "", leaves: bool = False
) -> Ask:
    fields = {"user-agent": "golden/1.0", "x-llm-metrics-origin": "golden", "authorization": "Bearer golden-key"}
    if fault:
        fields["x-demo-fault"] = fault
    content = "word " * words
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 24, **more}
    return Ask(body=body, fields=fields, leaves=leaves)


_NOTHING: Final[Mapping[str, Any]] = {}
_STREAM: Final[Mapping[str, Any]] = {"stream": True}  # without usage: no token counts
_USAGE: Final[Mapping[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}
_TOOLS: Final = {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]}
_BOTH_WAYS: Final = (_NOTHING, _USAGE)
_LARGE, _REASONING, _EMBEDDING = "demo-large", "demo-reasoning", "demo-embedding"

ASKS: Final = (
    *(_chat({"temperature": 0.5 + words / 100, "user": "ann"}, words=words) for words in (3, 30, 120)),
    *(_chat({**_USAGE, "top_p": 0.9}, words=words) for words in (3, 30, 120)),
    *(_chat(_USAGE, model=_LARGE, words=words) for words in (5, 50)),
    *(_chat(_STREAM, model=model) for model in ("demo-small", _LARGE)),
    *(_chat(more, model=_REASONING) for more in (*_BOTH_WAYS, {"max_completion_tokens": 40})),
    *(_chat({**more, "n": 3}) for more in _BOTH_WAYS),
    *(_chat({**more, **_TOOLS}) for more in _BOTH_WAYS),
    *(_chat(fault=fault) for fault in ("400", "401", "429", "500", "503", "truncate")),
    *(_chat(_USAGE, fault=fault) for fault in ("429", "500", "truncate", "error-event")),
    _chat(model="demo-unknown"),
    _chat(words=20_000),  # longer than the model's context
    *(_chat(more, model=_LARGE, leaves=True) for more in (_STREAM, _USAGE)),
    *(Ask("/v1/embeddings", {"model": _EMBEDDING, "input": text}) for text in ("one", ["one", "two"])),
    *(Ask("/v1/completions", {"model": _LARGE, "prompt": "Once", "max_tokens": 9, **more}) for more in _BOTH_WAYS),
    Ask("/v1/models", method="GET"),
    Ask("/api/delete", {"model": "demo-small"}),  # no inference: refused
    Ask(_CHAT, b'{"model": "demo-small", "messages": ['),  # no JSON
    Ask(_CHAT, {"model": "\u65e5\u672c\u8a9e-\U0001f600", "messages": []}, {"user-agent": "golden/1.0"}),
)
# For releases that know prices.
SETTINGS: Final = """
[[prices]]
model = "demo-large"
input_usd_per_mtok = 2.0
output_usd_per_mtok = 8.0
"""
WITHOUT_SERVER: Final = (_chat(), _chat(_USAGE))  # asked when the server is gone


def make(source: Path, folder: Path) -> Path:
    """Run the program in ``source`` and write its database into ``folder``; the path of the file, named by version."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with _started(source, place, "demo", "--port", "0", "--speed", "20", "--fault-rate", "0") as demo:
            server = _announced(demo, place / "demo.log", r"(http://\S+?);? ")
            flags: tuple[str, ...]
            flags = ("--backend", server, "--port", "0", "--metrics-port", "0", "--data-dir", str(place / "data"))
            if (source / "llm_metrics_proxy" / "pricing").exists():
                settings = place / "settings.toml"
                settings.write_text(SETTINGS)
                flags = (*flags, "--config", str(settings))
            with _started(source, place, "serve", "--workers", "2", *flags) as serve:
                log = place / "serve.log"
                proxy = _announced(serve, log, r"^\s*Proxy\s+(http://\S+)")
                metrics = _announced(serve, log, r"^\s*Metrics\s+(http://\S+)")
                _wait(lambda: _is_ready(proxy) and _is_ready(metrics), "readiness", serve, log)
                for ask in ASKS:
                    _send(proxy, ask)
                _stop(demo)
                for ask in WITHOUT_SERVER:
                    _send(proxy, ask)
                expected = len(ASKS) + len(WITHOUT_SERVER)
                _wait(lambda: _records(metrics) == expected, f"{expected} records", serve, log)
                database = place / "data" / "metrics.db"
                _wait(lambda: _is_rolled_up(database, expected), "roll-ups of all records", serve, log)
        return _keep(place / "data" / "metrics.db", folder)


@contextlib.contextmanager
def _started(source: Path, place: Path, verb: str, *flags: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_METRICS_PROXY_")}
    with (place / f"{verb}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, verb, *flags], cwd=place, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, env={**environment, "PYTHONPATH": str(source.resolve())},
        )  # fmt: skip
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """As an orderly user does; what waits in the journal is written before it ends."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(reached: Callable[[], bool], what: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{what}: it did not come to that\n{log.read_text(errors='replace')}")
        time.sleep(0.05)


def _announced(process: "subprocess.Popen[bytes]", log: Path, pattern: str) -> str:
    found: list[str] = []

    def look() -> bool:
        found[:] = re.findall(pattern, log.read_text(errors="replace"), re.MULTILINE)
        return bool(found)

    _wait(look, f"an address in {log.name}", process, log)
    return found[0].rstrip(";")


def _send(url: str, ask: Ask) -> None:
    """What comes back does not matter here; a proxy that cuts an answer short does so because it was asked to."""
    body = ask.body if isinstance(ask.body, bytes | None) else json.dumps(ask.body).encode()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    with contextlib.suppress(http.client.HTTPException, OSError):
        connection.request(ask.method, ask.path, body, {"content-type": "application/json", **ask.fields})
        with connection.getresponse() as answer:
            answer.read(1 if ask.leaves else None)
    connection.close()


def _get(url: str, path: str) -> Any:
    """A JSON answer, or None."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        with connection.getresponse() as answer:
            body = answer.read()
            return json.loads(body) if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _is_ready(url: str) -> bool:
    return _get(url, "/ready") is not None


def _records(metrics: str) -> int:
    return len((_get(metrics, "/api/v1/requests?limit=1000") or {"items": []})["items"])


def _is_rolled_up(database: Path, records: int) -> bool:
    """Also of a release that knows no roll-ups."""
    connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        if not list(connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'rollup_state'")):
            return True
        return list(connection.execute("SELECT 1 FROM rollup_state WHERE cursor_id >= ?", (records,))) != []
    finally:
        connection.close()


def _keep(database: Path, folder: Path) -> Path:
    connection = apsw.Connection(str(database))
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        stamps = [stamp for (stamp,) in connection.execute("SELECT DISTINCT app_version FROM completion_requests")]
        if len(stamps) != 1:
            raise SystemExit(f"the records are of versions {stamps}, and should be of one")
        target = folder / f"{stamps[0]}.db"
        if any(target.name in version.databases for version in released().values()):
            raise SystemExit(f"{target.name} is of a version that was released, and is never made anew")
        target.unlink(missing_ok=True)
        connection.execute("VACUUM INTO ?", (str(target),))  # small, and without leftovers in free pages
    finally:
        connection.close()
    return target


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="folder that holds the package")
    parser.add_argument("--into", type=Path, default=GOLDEN, help="folder that the database is written to")
    given = parser.parse_args(arguments)
    print(make(given.source, given.into))  # noqa: T201


if __name__ == "__main__":
    main()
