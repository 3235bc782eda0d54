"""The whole product as a user starts it: ``llm-metrics-proxy serve`` in front of a server.

    with Stack(upstream.url, tmp_path) as stack:
        ...                                     # talk to stack.proxy_url
        (record,) = stack.records(1)            # as the metrics API gives them, oldest first

Leaving the block stops it with SIGTERM and asserts that it ended with 0. A test that ends it in another way says so by
``expect_exit``, and may then start another one on the same folder and ``ports``.
"""

import contextlib
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

import psutil  # type: ignore[import-untyped]

from tests.child_processes import answers, child
from tests.waiting import PATIENCE_S, wait_until

_PROGRAM: Final = Path(sys.executable).with_name("llm-metrics-proxy")
_METRICS_PROCESS: Final = "llm_metrics_proxy.processes.metrics_process"
_WORKER: Final = "llm_metrics_proxy.proxy"


class Stack:
    """``serve``, on ports that the kernel chooses unless told otherwise. ``flags`` go to it as they are."""

    def __init__(
        self,
        backend: str,
        folder: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        workers: int = 1,
        ports: tuple[int, int] = (0, 0),
        log_name: str = "serve.log",
        open_files: int | None = None,
    ) -> None:
        """``ports``: the proxy's and the metrics API's. ``open_files``: the limit, as by ``ulimit -n``."""
        self.data_dir = folder / "data"
        self.log = folder / log_name
        self.proxy_url = ""
        self.metrics_url = ""
        self._command = [
            *(str(_PROGRAM), "serve", "--backend", backend, "--port", str(ports[0]), "--metrics-port", str(ports[1])),
            *("--data-dir", str(self.data_dir), "--workers", str(workers), *flags),
        ]
        if open_files is not None:
            self._command = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *self._command]
        # a script that plays a server counts what it is asked
        self._environment = {"LLM_METRICS_PROXY_SERVER_METRICS": "off", **(environment or {})}
        self._cleanup = contextlib.ExitStack()
        self._expected_exit: int | None = None

    def __enter__(self) -> Self:
        self.process: subprocess.Popen[bytes] = self._cleanup.enter_context(
            child(self._command, self.log, environment=self._environment)
        )
        try:
            wait_until(self._announced, "the start block", process=self.process, log=self.log)
            for url in (self.proxy_url, self.metrics_url):
                ready = partial(answers, urlsplit(url).netloc, "/ready")
                wait_until(ready, f"{url}/ready", process=self.process, log=self.log)
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        code = self.process.poll()
        if self._expected_exit is None:
            assert code is None, f"serve had ended by itself with {code}:\n{self.log.read_text()}"
        self._cleanup.close()
        if kind is None:
            code, expected = self.process.returncode, self._expected_exit or 0
            assert code == expected, f"serve ended with {code}:\n{self.log.read_text()}"

    def expect_exit(self, code: int) -> None:
        """It ends by itself, or by the test's own hand, and then with ``code`` (negative: the signal)."""
        self._expected_exit = code

    def kill_supervisor(self) -> None:
        """``kill -9`` of it alone; its children live on."""
        self.expect_exit(-signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def worker_pids(self) -> list[int]:
        """The workers that run now."""
        return self._children(_WORKER)

    def metrics_pids(self) -> list[int]:
        """The metrics process, unless it is being started again."""
        return self._children(_METRICS_PROCESS)

    def _children(self, module: str) -> list[int]:
        found = []
        for process in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                if module in process.cmdline():
                    found.append(process.pid)
        return sorted(found)

    def records(self, at_least: int, timeout_s: float = PATIENCE_S, **filters: str) -> list[dict[str, Any]]:
        """Up to 1000 records that match the API's filters, oldest first, once there are ``at_least`` so many."""
        found: list[dict[str, Any]] = []

        def enough() -> bool:
            found[:] = self.get("/api/v1/requests", limit="1000", **filters)["items"]
            return len(found) >= at_least

        wait_until(enough, f"{at_least} records with {filters}", timeout_s, process=self.process, log=self.log)
        return found[::-1]

    def get(self, path: str, **parameters: str) -> Any:
        """A JSON answer of the metrics API."""
        connection = http.client.HTTPConnection(urlsplit(self.metrics_url).netloc, timeout=10)
        try:
            connection.request("GET", f"{path}?{urlencode(parameters)}" if parameters else path)
            with connection.getresponse() as response:
                body = response.read()
                assert response.status == 200, f"{path}: {response.status} {body!r}"
                return json.loads(body)
        finally:
            connection.close()

    def _announced(self) -> bool:
        words = self.log.read_text(errors="replace")
        urls = dict(re.findall(r"^\s*(Proxy|Metrics)\s+(http://\S+)", words, re.MULTILINE))
        self.proxy_url, self.metrics_url = urls.get("Proxy", ""), urls.get("Metrics", "")
        return len(urls) == 2
