"""ClickHouse's own engine as a server on loopback, out of PyPI's ``chdb-core``: nothing is installed or mocked.

The engine of that wheel is ClickHouse whole. Its Python interface hides the listeners, but the statement that starts
them is there, and a query that never ends keeps the process alive: so a process of its own is a server, which speaks
HTTP and the native protocol, keeps its tables over a ``kill -9``, and takes BACKUP, EXCHANGE, TTL and mutations.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import uuid
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.child_processes import answers
from tests.waiting import wait_until

START_S: Final = 60.0
MEMORY_BYTES: Final = 2_000_000_000
# What a test needs: small pools and caches, and nothing that fills the disk or wakes up by itself. What memory this
# build of the server believes to be in use grows without end (1.9 GB where there are 75 MB), so it is told to look.
_CONFIG: Final = """<clickhouse>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port>
  <tcp_port>{tcp}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/data/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config>
  <backups><allowed_path>{folder}/backups/</allowed_path></backups>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <max_concurrent_queries>200</max_concurrent_queries>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_common_pool_size>2</background_common_pool_size>
  <background_fetches_pool_size>2</background_fetches_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <memory_worker_correct_memory_tracker>1</memory_worker_correct_memory_tracker>
  <memory_worker_period_ms>200</memory_worker_period_ms>
  {extra}
</clickhouse>
"""
# ``default`` has no password, as on a fresh server; ``guarded`` has one.
PASSWORD: Final = "a secret with spaces: ü%/@"
_USERS: Final = f"""<clickhouse>
  <profiles><default><max_threads>2</max_threads><compile_expressions>0</compile_expressions><compile_aggregate_expressions>0</compile_aggregate_expressions><compile_sort_description>0</compile_sort_description></default></profiles>
  <quotas><default/></quotas>
  <users>
    <default><password/><networks><ip>127.0.0.1</ip></networks></default>
    <guarded><password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks></guarded>
  </users>
</clickhouse>
"""
# Ends with the process that started it: nobody else would, after a test that was killed.
_CHILD: Final = """
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from chdb import _chdb
listen = ";".join(f"SYSTEM START LISTEN {protocol}" for protocol in ("HTTP", "TCP"))
result = _chdb.query(f"{listen}; SELECT * FROM file('{sys.argv[1]}', 'LineAsString')", "TabSeparated")
sys.exit(result and result.error_message() or "the server's query ended")
"""


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ClickHouseServer:
    """One server in ``folder``. It keeps its ports and its data over ``kill`` and ``start``."""

    def __init__(self, folder: Path, *, extra: str = "", memory_bytes: int = MEMORY_BYTES) -> None:
        """``extra`` is put into the configuration as it is: clusters, a Keeper, storage."""
        self.folder, self._extra, self._memory_bytes = folder, extra, memory_bytes
        self.http_port, self.tcp_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("data", "backups", ".clickhouse-local"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        os.mkfifo(folder / "never")

    @property
    def netloc(self) -> str:
        """host:port of its HTTP interface."""
        return f"127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "default", user: str = "default") -> str:
        """As ``--store`` takes it."""
        return f"clickhouse+http://{user}@{self.netloc}/{database}"

    def start(self, timeout_s: float = START_S) -> None:
        """Returns as soon as it answers; fails with the end of its log."""
        folder = self.folder
        (folder / ".clickhouse-local" / "config.xml").write_text(
            _CONFIG.format(
                http=self.http_port, tcp=self.tcp_port, folder=folder, extra=self._extra, memory=self._memory_bytes
            )
        )
        (folder / "users.xml").write_text(_USERS, encoding="utf-8")
        log = folder / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-c", _CHILD, str(folder / "never")), cwd=folder, start_new_session=True,
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "HOME": str(folder)},
            )  # fmt: skip
        wait_until(
            lambda: answers(self.netloc, "/ping"), "ClickHouse answers", timeout_s, process=self._process, log=log
        )

    def kill(self) -> None:
        """``kill -9``, as a loss of power is to a process: what is in the kernel's cache stays."""
        if (process := self._process) is None:
            return
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(START_S)
        assert process.stdin is not None
        process.stdin.close()

    def restart(self) -> None:
        """``kill`` and ``start``."""
        self.kill()
        self.start()


@contextlib.contextmanager
def clickhouse_server(folder: Path, *, extra: str = "", memory_bytes: int = MEMORY_BYTES) -> Iterator[ClickHouseServer]:
    """A server that runs, and is gone afterwards."""
    server = ClickHouseServer(folder, extra=extra, memory_bytes=memory_bytes)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def new_database() -> str:
    """A name for a database that no other test has."""
    return f"test_{uuid.uuid4().hex[:12]}"


def statement(server: ClickHouseServer, sql: str, user: str = "default", password: str = "") -> str:
    """What the server answers, without any client library; fails with its words if they are an error."""
    connection = http.client.HTTPConnection(server.netloc, timeout=60)
    try:
        sign_in = {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}
        connection.request("POST", "/", sql.encode(), sign_in)
        with connection.getresponse() as response:
            text = response.read().decode()
            assert response.status == 200, text
            return text
    finally:
        connection.close()
