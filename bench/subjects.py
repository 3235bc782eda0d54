"""The servers under test and the fixed upstream, each as a context manager that yields a running ``Subject``."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bench.figures import Unavailable
from bench.processes import LOAD_CORE, TEST_CORE, command_line, family, free_port, move, running, wait_until_ready

_ROOT: Final = Path(__file__).resolve().parent.parent
MODEL: Final = "bench-model"
# About 600 bytes, as a short answer is.
COMPLETION: Final = (
    '{"id":"chatcmpl-9c1f0a7b52d84e6fb3a1","object":"chat.completion","created":1750000000,"model":"bench-model",'
    '"system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of'
    ' France is Paris, a city on the Seine in the north of the country that is known for its museums and monuments.",'
    '"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":27,'
    '"total_tokens":61,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
)


class Subject(NamedTuple):
    """A running server: where it listens, and the processes whose CPU time and memory count."""

    name: str
    port: int
    pids: tuple[int, ...]
    recorder_pids: tuple[int, ...] = ()  # ours only: the metrics process
    database: Path | None = None
    metrics_port: int | None = None

    def move_recorder(self, core: int) -> None:
        """Pin the metrics process."""
        move(self.recorder_pids, core)


Start = Callable[[Path, int], "contextlib.AbstractContextManager[Subject]"]

_NGINX: Final = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 16384; }}
worker_rlimit_nofile 65536;
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {http}
  server {{ listen 127.0.0.1:{port} backlog=4096; {server} }}
}}
"""
# What its manual recommends for a reverse proxy with kept connections. Buffering stays on, nginx's own choice, unless
# the answers are streams: then nginx would hold chunks back, and nobody runs it in front of an LLM like that.
_NGINX_HTTP: Final = "upstream llm {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}"
_NGINX_SERVER: Final = (
    'location / {{ proxy_pass http://llm; proxy_http_version 1.1; proxy_set_header Connection ""; {buffering} '
    "proxy_read_timeout 600s; }}"
)


@contextlib.contextmanager
def nginx_upstream(folder: Path) -> Iterator[int]:
    """The fixed answer, from an nginx on the load core; yields its port."""
    server = f"location / {{ default_type application/json; return 200 '{COMPLETION}'; }}"
    with _nginx(folder / "upstream", LOAD_CORE, "upstream", "", server) as subject:
        yield subject.port


def nginx(folder: Path, upstream: int) -> "contextlib.AbstractContextManager[Subject]":
    """nginx as a plain reverse proxy: one worker, kept upstream connections, no access log."""
    return _nginx(
        folder / "nginx", TEST_CORE, "nginx", _NGINX_HTTP.format(upstream=upstream), _NGINX_SERVER.format(buffering="")
    )


def nginx_streaming(folder: Path, upstream: int) -> "contextlib.AbstractContextManager[Subject]":
    """The same with ``proxy_buffering off``."""
    server = _NGINX_SERVER.format(buffering="proxy_buffering off;")
    return _nginx(folder / "nginx", TEST_CORE, "nginx", _NGINX_HTTP.format(upstream=upstream), server)


@contextlib.contextmanager
def _nginx(folder: Path, core: int, name: str, http: str, server: str) -> Iterator[Subject]:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        raise Unavailable("nginx is not installed (apt-get install nginx, or run tools/install-bench.sh as root)")
    folder.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker could not enter our temporary folder
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, user=user, http=http, server=server))
    with running([program, "-c", str(config), "-p", str(folder)], core, port=port, log=folder / "log") as child:
        yield Subject(name, port, tuple(family(child.pid)))


@contextlib.contextmanager
def aiohttp(folder: Path, upstream: int) -> Iterator[Subject]:
    """A proxy of forty lines on aiohttp's server and client."""
    port = free_port()
    command = [sys.executable, "-m", "bench.aiohttp_proxy", str(port), str(upstream)]
    with running(command, TEST_CORE, port=port, log=folder / "aiohttp.log") as child:
        yield Subject("aiohttp", port, (child.pid,))


@contextlib.contextmanager
def litellm(folder: Path, upstream: int) -> Iterator[Subject]:
    """LiteLLM's proxy with one worker and its ``openai/`` provider, nothing else switched on."""
    program = _ROOT / ".venv-litellm/bin/litellm"
    if not program.exists():
        raise Unavailable("LiteLLM is not installed (run tools/install-litellm.sh)")
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n      api_key: bench\n"
    )
    port = free_port()
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    settings = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches a price list at start
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOG": "ERROR",
        # Without a key to check it is faster, and the comparison kinder to it.
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    with running(command, TEST_CORE, port=port, log=folder / "litellm.log", environment=settings) as child:
        yield Subject("LiteLLM", port, tuple(family(child.pid)))


@contextlib.contextmanager
def ours(folder: Path, upstream: int) -> Iterator[Subject]:
    """``serve`` with one worker and recording on, as a user would start it; then its processes are pinned."""
    port, metrics_port, data = free_port(), free_port(), folder / "data"
    command = [
        *(str(Path(sys.executable).with_name("llm-metrics-proxy")), "serve", "--workers", "1"),
        *("--backend", f"http://127.0.0.1:{upstream}", "--port", str(port), "--metrics-port", str(metrics_port)),
        *("--data-dir", str(data), "--log-level", "warning"),
    ]
    with running(command, LOAD_CORE, port=port, log=folder / "ours.log") as child:
        for address in (port, metrics_port):  # the sockets listen before the processes behind them are ready
            wait_until_ready(address, child, folder / "ours.log")
        workers = tuple(pid for pid in family(child.pid) if "llm_metrics_proxy.proxy" in command_line(pid))
        recorders = tuple(pid for pid in family(child.pid) if "metrics_process" in command_line(pid))
        assert workers, "the worker was not found among the children of serve"
        assert recorders, "the metrics process was not found among the children of serve"
        move(workers, TEST_CORE)
        yield Subject("ours", port, workers, recorders, data / "metrics.db", metrics_port)
