"""A real worker process between a raw-socket client and the fake LLM server.

    with ProxyWorker(folder, upstream.url, idle_timeout_s=0.3) as proxy:
        with proxy.connect() as client:
            client.send(post(b'{"model":"fake-1"}'))
            answer = client.answer()
        [record] = proxy.records(1)

The worker's listening socket is made here, on a port that the kernel chose, and handed over by inheritance, exactly as
the supervisor does. What the worker wrote into its journal is read with the metrics process's own reader. Every record
that a test asks for is held against ``assert_consistent``: what must be true of any record, however it ended.
"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from llm_metrics_proxy.journal import JournalFolder, frames
from llm_metrics_proxy.metrics_service import count_tokens
from llm_metrics_proxy.record import Outcome, RequestRecord
from tests.options import WORKER_DEFAULTS
from tests.proxy.client import PATIENCE_S, Answer, Client, get
from tests.waiting import wait_until

HEALTH_TOKEN: Final = "a-token-of-tests"
SHOWN_ALL: Final = b"Authorization: Bearer " + HEALTH_TOKEN.encode()  # the line of one who may see all of /health
_ESTABLISHED: Final = "01"
_CLOSE_WAIT: Final = "08"


def limit_open_files(count: int) -> None:
    """``ulimit -n`` of this process, soft and hard."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


class ProxyWorker:
    """One worker process; ``options`` as in ``ProxyOptions``, ``module`` is another program, ``open_files`` its limit.

    Leaving the ``with`` block stops and checks it.
    """

    def __init__(
        self,
        folder: Path,
        backend: str,
        **options: Any,
    ) -> None:
        module = options.pop("module", "llm_metrics_proxy.proxy")
        open_files = options.pop("open_files", None)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        secret = folder / "secret"
        secret.write_bytes(b"k" * 32)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = listener.getsockname()[1]
        told = {
            **WORKER_DEFAULTS,
            "backend": backend,
            "listen_fds": [listener.fileno()],
            "journal_dir": str(folder / "journal"),
            "secret_file": str(secret),
            "allowed_hosts": ["*"],  # tests call the proxy many names; those about names say which
            "health_token": HEALTH_TOKEN,
            **options,
        }
        self.journal = Path(told["journal_dir"])
        self._log = (folder / "worker.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stderr=self._log,
            pass_fds=[listener.fileno(), *([told["scoreboard_fd"]] if told["scoreboard_fd"] is not None else [])],
            preexec_fn=None if open_files is None else lambda: limit_open_files(open_files),  # noqa: PLW1509 -- no threads
        )
        listener.close()
        self._told = told
        self._tell()
        self._forgotten: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()
            sys.stderr.write(self.log)

    # Its life

    def _tell(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self._told).encode() + b"\n")
        self.process.stdin.flush()

    def reload(self, **options: Any) -> None:
        """New settings, once they are in use."""
        before = self.log.count("new settings are in use")
        self._told |= options
        self._tell()
        wait_until(lambda: self.log.count("new settings are in use") > before)

    @property
    def log(self) -> str:
        """What it wrote on standard error."""
        return (self.folder / "worker.log").read_text()

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit status; its log must not tell of a fault that nobody expected."""
        status = self.process.wait(timeout_s)
        self._let_go()
        assert "Traceback" not in self.log, self.log
        return status

    def stop(self) -> None:
        """SIGTERM, and exit status 0."""
        if self.process.returncode is None:
            self.terminate()
            assert self.ended() == 0, self.log

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self._let_go()

    def _let_go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._log.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It sleeps meanwhile, and what comes to it waits in the kernel."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def supervisor_dies(self) -> None:
        """The end of standard input."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def rss_bytes(self) -> int:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def has_connections_to(self, port: int) -> bool:
        """Whether anybody on this machine still holds a connection to that loopback port."""
        wanted = f"0100007F:{port:04X}"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state, *_ = line.split()
            if remote == wanted and state in {_ESTABLISHED, _CLOSE_WAIT}:
                return True
        return False

    # Asking it

    def connect(self, *, receive_buffer_bytes: int | None = None) -> Client:
        """A new connection."""
        return Client(self.port, receive_buffer_bytes=receive_buffer_bytes)

    def ask(self, data: bytes, method: bytes | None = None) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as client:
            client.send(data)
            return client.answer(data.split(b" ", 1)[0] if method is None else method)

    def health(self) -> Any:
        """``/health`` as JSON, as one who may see everything."""
        return self.ask(get(b"/health", SHOWN_ALL)).json()

    # What it recorded

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """Every frame of its journal so far: kind and MessagePack body."""
        folder = JournalFolder(self.journal)
        if not self.journal.exists():
            return
        for worker_id, segments in folder.workers().items():
            for segment in segments:
                offset, more = 0, True
                while more:
                    piece = folder.read(worker_id, segment, offset, final=False)
                    yield from piece.frames
                    offset, more = piece.end_bytes, piece.more

    def forget(self) -> None:
        """What is in the journal now is not this test's."""
        self._forgotten = {frames.request_id(body).decode() for _, body in self.frames()}

    def opened(self) -> list[str]:
        """Ids of the requests accepted since ``forget``."""
        ids = [frames.request_id(body).decode() for kind, body in self.frames() if kind == frames.OPENED]
        return [each for each in ids if each not in self._forgotten]

    def closed(self) -> list[RequestRecord]:
        """The records written since ``forget``, in order."""
        records = [frames.decode_record(body) for kind, body in self.frames() if kind == frames.CLOSED]
        return [record for record in records if record.request_id not in self._forgotten]

    def records(self, count: int) -> list[RequestRecord]:
        """The records, once there are ``count`` of them, each one consistent in itself."""
        wait_until(lambda: len(self.closed()) >= count, lambda: f"{len(self.closed())} of {count} records")
        records = self.closed()
        assert len(records) == count, [(record.endpoint, record.outcome) for record in records]
        for record in records:
            assert_consistent(record)
            count_tokens(record)  # as the metrics process does
        return records

    def record(self) -> RequestRecord:
        """The one record there is."""
        [record] = self.records(1)
        return record

    def assert_every_request_has_one_record(self) -> None:
        """Nothing stays open, nothing is recorded twice, nothing without having been accepted."""
        wait_until(
            lambda: sorted(self.opened()) == sorted(record.request_id for record in self.closed()),
            lambda: f"opened {self.opened()}, closed {[record.request_id for record in self.closed()]}",
        )
        for record in self.closed():
            assert_consistent(record)


_STAMPS: Final = (
    "body_complete_ms",
    "upstream_acquired_ms",
    "request_sent_ms",
    "response_headers_ms",
    "time_to_first_byte_ms",
    "time_to_first_token_ms",
    "time_to_last_token_ms",
    "response_time_ms",
)


def assert_consistent(record: RequestRecord, *, streamed_upload: bool = False) -> None:
    """What must be true of every record: its stamps are in order, its words agree with each other."""
    stamps = [(name, value) for name in _STAMPS if (value := getattr(record, name)) is not None]
    if record.body_complete_ms is not None and (record.upstream_acquired_ms or 0) < record.body_complete_ms:
        stamps = [stamp for stamp in stamps if stamp[0] != "body_complete_ms"]  # the body streamed through
    if record.websocket_frames_sent is not None:  # of a session, tokens are counted from the first that was asked in it
        stamps = [stamp for stamp in stamps if "token" not in stamp[0] and "output" not in stamp[0]]
        assert (record.time_to_first_token_ms or 0) <= (record.time_to_last_token_ms or 0), record
    values = [value for _, value in stamps]
    assert values == sorted(values), stamps
    assert record.response_time_ms is not None
    assert record.response_time_ms >= 0
    assert record.proxy_overhead_ms is not None
    assert 0 <= record.proxy_overhead_ms <= record.response_time_ms + 0.01, record
    assert record.success == (record.outcome == Outcome.COMPLETED), record
    flagged = record.success and record.error_type in {"refusal", "content_filter"}
    assert flagged or (record.error_type is None) == record.success, record
    assert record.outcome in set(Outcome)
    assert record.status_code is None or 100 <= record.status_code < 600
    assert record.retries in {0, 1}
