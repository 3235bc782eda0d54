"""Which libraries a process has loaded that does nothing, and what loads more: memory and a start are mostly those.

numpy takes 17 MB and a tenth of a second; FastAPI, pydantic and our routes 30 MB and half a second.

Who needs another one at every start adds it here on purpose.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.options import metrics_options, worker_options
from tests.processes.test_metrics_process import write_record
from tests.waiting import wait_until

pytestmark = pytest.mark.system
# Import names of what is installed with the package or one of its extras.
LIBRARIES: Final = frozenset({
    "apsw", "backports", "brotli", "clickhouse_connect", "fastapi", "genai_prices", "h11", "httptools", "httpx2",
    "jinja2", "mcp", "msgspec", "numpy", "opentelemetry", "prometheus_client", "psutil", "pyarrow", "pydantic",
    "pydantic_settings", "requests", "rich", "semver", "starlette", "typer", "uvicorn", "uvloop",
})  # fmt: skip
WORKER: Final = frozenset({"backports", "brotli", "httptools", "msgspec", "uvloop"})
METRICS: Final = frozenset({"apsw", "h11", "httptools", "msgspec", "semver", "starlette", "uvicorn"})
VERB: Final = frozenset({"httptools", "msgspec", "pydantic", "pydantic_settings", "rich", "semver", "typer"})
ANSWERS: Final = METRICS | {
    "fastapi",
    "pydantic",
    "numpy",
    "opentelemetry",
}  # the last by FastAPI, where it is installed


def loaded(module: str, options: msgspec.Struct, folder: Path, during: Callable[[], None], fd: int) -> frozenset[str]:
    """The libraries that the process of ``module`` has loaded when it is told to stop, ``during`` being over."""
    file = folder / "loaded"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.architecture.loaded", str(file), module], stdin=subprocess.PIPE, pass_fds=[fd]
    )
    assert process.stdin is not None
    try:
        process.stdin.write(msgspec.json.encode(options) + b"\n")
        process.stdin.flush()
        during()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    return LIBRARIES & set(file.read_text().split())


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        with connection.getresponse() as response:
            response.read()
            return response.status
    except OSError:
        return 0
    finally:
        connection.close()


def asked(port: int, paths: Sequence[str]) -> None:
    for path in paths:
        wait_until(lambda path=path: status(port, path) == 200, path)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("paths", "records", "libraries"),
    [
        (("/health", "/ready"), 0, METRICS),
        (("/metrics",), 0, METRICS | {"prometheus_client"}),
        (("/ready",), 1, METRICS | {"numpy"}),
        (("/api/v1/summary", "/"), 0, ANSWERS),
    ],
    ids=["idle", "scraped", "recording", "answering"],
)
def test_the_metrics_process_loads_what_is_asked_of_it(
    paths: Sequence[str], records: int, libraries: frozenset[str], tmp_path: Path
) -> None:
    (tmp_path / "journal").mkdir()
    for number in range(records):
        write_record(tmp_path, number)
    with socket.create_server(("127.0.0.1", 0)) as server:
        places: dict[str, Any] = {"db_path": str(tmp_path / "m.db"), "journal_dir": str(tmp_path / "journal")}
        options = metrics_options(listen_fds=[server.fileno()], **places)
        port = server.getsockname()[1]
        module = "llm_metrics_proxy.processes.metrics_process"
        assert loaded(module, options, tmp_path, lambda: asked(port, paths), server.fileno()) == libraries


def test_a_worker_loads_no_more_than_proxying_takes(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    with socket.create_server(("127.0.0.1", 0)) as server:
        options = worker_options(
            listen_fds=[server.fileno()],
            backend="http://127.0.0.1:9",
            journal_dir=str(tmp_path / "journal"),
            secret_file=str(secret),
        )
        port = server.getsockname()[1]
        found = loaded("llm_metrics_proxy.proxy", options, tmp_path, lambda: asked(port, ["/health"]), server.fileno())
    assert found == WORKER


@pytest.mark.parametrize(
    ("modules", "libraries"),
    [
        ("supervisor.__main__", {"msgspec"}),
        ("cli.app; llm_metrics_proxy.cli.app.application('serve')", VERB),
    ],
)
def test_what_starts_them_loads_as_little(modules: str, libraries: frozenset[str] | set[str]) -> None:
    code = f"import sys, llm_metrics_proxy.{modules}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], timeout=120, check=True, stdout=subprocess.PIPE, text=True)
    assert LIBRARIES & set(ran.stdout.split()) == libraries
