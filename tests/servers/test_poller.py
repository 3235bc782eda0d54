"""Servers over real sockets, well and badly behaved: what is learnt of them, and how gently."""

import contextlib
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.processes.server_polling import MOST_BYTES, make_poller, poller_options
from llm_metrics_proxy.proxy.options import BackendOptions
from llm_metrics_proxy.servers.commands import GpuProgram
from llm_metrics_proxy.servers.poller import ServerPoller
from llm_metrics_proxy.servers.seen import AskingState, ServerSeen
from llm_metrics_proxy.storage.disk_space import DATABASE, DiskWatch
from llm_metrics_proxy.storage.server_samples import read_samples
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.options import metrics_options
from tests.servers import pages
from tests.upstream.certificate import Certificate
from tests.upstream.conversation import Request
from tests.upstream.replies import head, response
from tests.upstream.server import FakeUpstream
from tests.upstream.steps import Pause, Script, Send, Stall
from tests.waiting import wait_until

_TEXT = ("Content-Type", "text/plain; version=0.0.4")


def serving(answers: Mapping[str, bytes | Script]) -> Callable[[Request], Script]:
    """A server with these pages and no others."""

    def answer(request: Request) -> Script:
        found = answers.get(request.target, response(b'{"error":"no such page"}', status=404))
        return (Send(found),) if isinstance(found, bytes) else found

    return answer


def page(body: bytes) -> bytes:
    return response(body, _TEXT)


@contextlib.contextmanager
def polled(folder: Path, *backends: Mapping[str, Any], **settings: Any) -> Iterator[ServerPoller]:
    """The poller on a store of its own, over these backends."""
    path = folder / "metrics.db"
    SqliteStore(path).close()
    options = metrics_options(
        backends=[BackendOptions(**{"name": "box", **one}) for one in backends],
        **{"server_metrics_interval_s": 0.05, "gpu_metrics": "off", **settings},
    )
    poller = make_poller(
        options, lambda: options, path, scoreboard=None, admit=lambda: None, disk=DiskWatch({DATABASE: folder})
    )
    poller.start()
    try:
        yield poller
    finally:
        poller.stop()


def seen(poller: ServerPoller) -> ServerSeen:
    return poller.seen().servers[0]


@pytest.mark.parametrize(
    ("answers", "program", "gauges"),
    [
        ({"/metrics": page(pages.VLLM_V1)}, "vLLM", {"running": 9, "waiting": 2, "kv_cache_ratio": 0.9375}),
        ({"/metrics": page(pages.TGI)}, "TGI", {"running": 16, "waiting": 4}),
        ({"/prometheus/metrics": page(pages.TENSORRT_LLM)}, "TensorRT-LLM", {"running": 3, "waiting": 1}),
        ({"/v1/metrics": page(pages.NIM)}, "NIM", {"running": 2, "waiting": 0}),
        (
            {"/metrics": page(pages.LLAMA_CPP), "/slots": page(pages.LLAMA_SLOTS), "/props": page(pages.LLAMA_PROPS)},
            "llama.cpp", {"running": 1, "waiting": 2, "slots": 2, "slots_ratio": 0.5},
        ),
        ({"/api/ps": page(pages.OLLAMA_PS)}, "Ollama", {"models_loaded": 1, "vram_bytes": 2957391360}),
        ({"/api/v1/models": page(pages.LM_STUDIO_V1)}, "LM Studio", {"models_loaded": 1}),
        ({"/api/extra/perf": page(pages.KOBOLD_PERF)}, "KoboldCpp", {"running": 1, "waiting": 2}),
        ({"/running": page(pages.LLAMA_SWAP)}, "llama-swap", {"models_loaded": 1}),
        ({"/system": page(pages.LOCALAI)}, "LocalAI", {"models_loaded": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_each_server_tells_what_it_can(
    tmp_path: Path, answers: dict[str, bytes], program: str, gauges: dict[str, float]
) -> None:
    with FakeUpstream(serving(answers)) as server, polled(tmp_path, {"url": server.url}) as poller:
        wait_until(lambda: (found := seen(poller).reading) and gauges.items() <= dict(found.gauges).items())
        assert (seen(poller).state, seen(poller).program) == (AskingState.TELLS, program)


def test_a_llama_cpp_without_its_page_is_told_which_flag_it_lacks(tmp_path: Path) -> None:
    answers = {
        "/metrics": response(b'{"error":{"code":501,"message":"not supported"}}', status=501),
        "/slots": page(pages.LLAMA_SLOTS), "/props": page(pages.LLAMA_PROPS),
    }  # fmt: skip
    with FakeUpstream(serving(answers)) as server, polled(tmp_path, {"url": server.url}) as poller:
        wait_until(lambda: seen(poller).advice == "llamacpp_metrics")
        wait_until(lambda: (found := seen(poller).reading) and found.models)


def test_a_known_server_is_asked_its_own_pages_only(tmp_path: Path) -> None:
    with FakeUpstream(serving({"/api/ps": page(pages.OLLAMA_PS)})) as server:
        with polled(tmp_path, {"url": server.url}):
            wait_until(lambda: len(server.requests) > 12)
        asked = [request.target for request in server.requests]
        assert asked[0] == "/metrics"
        assert set(asked[2:]) <= {"/api/ps"}


def test_credentials_and_headers_go_along_and_nothing_is_followed(tmp_path: Path) -> None:
    with FakeUpstream() as elsewhere:
        moved = head(302, ("Location", f"{elsewhere.url}/metrics"), ("Content-Length", "0"))
        with FakeUpstream(serving({"/metrics": moved, "/api/ps": page(pages.OLLAMA_PS)})) as server:
            backend = {"url": server.url, "api_key": "sk-secret", "add_headers": {"X-Team": "red"}}
            with polled(tmp_path, backend) as poller:
                wait_until(lambda: seen(poller).state is AskingState.TELLS)
            fields = {name.lower(): value for name, value in server.requests[0].fields}
            assert (fields[b"authorization"], fields[b"x-team"]) == (b"Bearer sk-secret", b"red")
        assert elsewhere.requests == []


def test_a_page_elsewhere_is_asked_there(tmp_path: Path) -> None:
    """Triton has it on a port of its own."""
    with FakeUpstream(serving({"/metrics": page(pages.TRITON)})) as metrics, FakeUpstream(serving({})) as server:
        backend = {"url": server.url, "metrics_url": f"{metrics.url}/metrics"}
        with polled(tmp_path, backend) as poller:
            wait_until(lambda: seen(poller).program == "Triton")
            assert seen(poller).reading.gauges["waiting"] == 5  # type: ignore[union-attr]


def test_a_server_over_tls_is_verified(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path / "tls")
    with FakeUpstream(serving({"/metrics": page(pages.TGI)}), tls=certificate) as server:
        good, other = tmp_path / "a", tmp_path / "b"
        good.mkdir()
        other.mkdir()
        with polled(good, {"url": server.url, "ca_file": str(certificate.cert_file)}) as poller:
            wait_until(lambda: seen(poller).program == "TGI")
        with polled(other, {"url": server.url}) as poller:
            wait_until(lambda: seen(poller).state is AskingState.SILENT)


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (response(b"no", status=401), AskingState.WANTS_KEY),
        (response(b"<html>hello</html>"), AskingState.TELLS_NOTHING),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", AskingState.TELLS_NOTHING),
        (page(b"vllm:num_requests_running NaN\n"), AskingState.TELLS_NOTHING),
        (page(b"\x00\xff" * 5000), AskingState.TELLS_NOTHING),
        (page(b"vllm:kv_cache_usage_perc 17\nvllm:num_requests_running{ 4\n"), AskingState.TELLS_NOTHING),
        (page(b"x" * (MOST_BYTES + 1)), AskingState.TELLS_NOTHING),
        (response(b"loading", status=503), AskingState.TELLS_NOTHING),
        (b"", AskingState.SILENT),
    ],
    ids=["key", "html", "ssh", "nan", "bytes", "nonsense", "huge", "503", "closed"],
)
def test_a_server_that_misbehaves_is_survived_and_named(tmp_path: Path, reply: bytes, state: AskingState) -> None:
    with FakeUpstream(lambda _: (Send(reply),)) as server, polled(tmp_path, {"url": server.url}) as poller:
        wait_until(lambda: seen(poller).state is state, lambda: seen(poller))
        assert seen(poller).reading is None


def test_a_page_without_end_is_cut_off(tmp_path: Path) -> None:
    endless = (Send(head(200, _TEXT)), *(Send(b'a{x="y"} 1\n' * 10_000) for _ in range(40)))
    answers: dict[str, bytes | Script] = {"/metrics": endless, "/api/ps": page(pages.OLLAMA_PS)}
    with FakeUpstream(serving(answers)) as server, polled(tmp_path, {"url": server.url}) as poller:
        wait_until(lambda: seen(poller).program == "Ollama")


def test_a_server_that_hangs_is_given_up_and_asked_less_and_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_metrics_proxy.processes.server_polling.LIMIT_S", 0.1)
    with FakeUpstream(lambda _: (Stall(),)) as server, polled(tmp_path, {"url": server.url}) as poller:
        wait_until(lambda: len(server.requests) >= 4)
        assert seen(poller).state is AskingState.SILENT
        assert {request.target for request in server.requests} == {"/metrics"}


def test_a_slow_server_has_one_question_at_a_time(tmp_path: Path) -> None:
    slow = (Pause(0.15), Send(page(pages.TGI)))
    with FakeUpstream(serving({"/metrics": slow})) as server, polled(tmp_path, {"url": server.url}) as poller:
        begun = time.monotonic()
        wait_until(lambda: len(server.requests) >= 4)
        assert time.monotonic() - begun >= 3 * 0.15
        assert seen(poller).program == "TGI"


def test_a_server_that_is_exchanged_for_another_is_seen_as_that(tmp_path: Path) -> None:
    with (
        FakeUpstream(serving({"/metrics": page(pages.TGI)})) as server,
        polled(tmp_path, {"url": server.url}) as poller,
    ):
        wait_until(lambda: seen(poller).program == "TGI")
        server.handler = serving({"/metrics": page(pages.VLLM_V1)})
        wait_until(lambda: seen(poller).program == "vLLM")


def test_remote_servers_are_asked_only_if_a_setting_says_so(tmp_path: Path) -> None:
    with FakeUpstream(serving({"/metrics": page(pages.TGI)})) as server:
        with polled(tmp_path, {"url": "http://192.0.2.1.example.com"}, {"name": "near", "url": server.url}) as poller:
            wait_until(lambda: poller.seen().servers[1].program == "TGI")
            assert (seen(poller).state, seen(poller).advice) == (AskingState.REMOTE, "remote")
        count = len(server.requests)
        off = tmp_path / "off"
        off.mkdir()
        with polled(off, {"url": server.url}, server_metrics="off") as poller:
            wait_until(poller.recent)
            assert seen(poller).state is AskingState.OFF
        assert len(server.requests) == count


def test_a_reload_asks_other_servers(tmp_path: Path) -> None:
    with (
        FakeUpstream(serving({"/metrics": page(pages.TGI)})) as first,
        FakeUpstream(serving({"/metrics": page(pages.VLLM_V1)})) as second,
        polled(tmp_path, {"url": first.url}) as poller,
    ):
        wait_until(lambda: seen(poller).program == "TGI")
        newer = metrics_options(
            backends=[BackendOptions(name="two", url=second.url)], server_metrics_interval_s=0.05, gpu_metrics="off"
        )
        poller.use(poller_options(newer))
        wait_until(lambda: (seen(poller).name, seen(poller).program) == ("two", "vLLM"))


def test_what_was_said_is_stored_at_the_end_of_the_minute_or_of_the_process(tmp_path: Path) -> None:
    with FakeUpstream(serving({"/metrics": page(pages.VLLM_V1)})) as server:
        with polled(tmp_path, {"url": server.url}) as poller:
            wait_until(lambda: len(server.requests) >= 3)
            [under_way] = [one for one in poller.recent() if one.name == "box"][-1:]
            assert under_way.gauges["running"].greatest == 9
        reader = SqliteReader(tmp_path / "metrics.db")
        samples = read_samples(reader, time.time() - 600, time.time() + 1)
        reader.close()
    assert sum(one.answered for one in samples) >= 3
    assert {one.models for one in samples} == {("Qwen/Qwen3-8B",)}


def _program(folder: Path, script: str) -> Callable[[str], str | None]:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return lambda name: str(path) if name == "nvidia-smi" else None


@pytest.mark.parametrize(
    ("script", "gpus"),
    [
        ("echo '0, 97, 22310, 24576, 347.12, 71, NVIDIA GeForce RTX 4090'", ["0: NVIDIA GeForce RTX 4090"]),
        ("echo 'NVIDIA-SMI has failed'; exit 9", []),
        ("sleep 60", []),
        ("trap '' TERM; while :; do :; done", []),
        ("while :; do echo 0, 1, 2, 3, 4, 5, x; done", []),
    ],
    ids=["well", "fails", "hangs", "deaf", "endless"],
)
def test_gpus_are_read_and_a_program_that_hangs_hangs_nothing(tmp_path: Path, script: str, gpus: list[str]) -> None:
    with FakeUpstream(serving({"/metrics": page(pages.TGI)})) as server:
        (tmp_path / "bin").mkdir()
        with polled(tmp_path, {"url": server.url}) as poller:
            program = GpuProgram(0.3, _program(tmp_path / "bin", script))
            poller._gpu_program = program  # the box of the test has none
            options = poller._options._replace(gpus=True)
            poller.use(options)
            count = len(server.requests)
            wait_until(lambda: [one.name for one in poller.seen().gpus] == gpus)
            wait_until(lambda: len(server.requests) > count + 5)
