"""Settings read again: what a worker is told then, and the whole product under load while it happens."""

import http.client
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes import launch
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.processes.reload import read_again
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor import ReloadRequest
from tests.cli.test_serve import serving
from tests.proxy.client import Client, post
from tests.system.house import get_json
from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    LAST_CHUNK,
    FakeUpstream,
    Gate,
    Request,
    Script,
    Send,
    chat_events,
    chunk,
    head,
    openai_handler,
)  # fmt: skip
from tests.waiting import wait_until


class Started:
    """What a start leaves for a reload: the request that the supervisor will make, for one worker."""

    def __init__(self, file: Path, flags: dict[str, Any], backend: str = "") -> None:
        loaded = load(flags, {"KEY": "first"}, file)
        clients, board = launch.listen_for_clients(loaded.settings), Scoreboard.create()
        workers = launch.worker_specs(loaded, backend, clients, board)
        reload = launch.launch_plan(loaded, workers, [clients]).reload
        assert reload is not None
        assert reload.children == ["worker-0"]
        self.before = msgspec.json.decode(workers[0].options_json, type=ProxyOptions)
        self._request = ReloadRequest(
            start_json=reload.start_json, options={worker.name: worker.options_json for worker in workers}
        )
        for each in clients.groups[0]:
            each.close()

    def again(self) -> tuple[ProxyOptions, list[str]]:
        answer = read_again(self._request, {"KEY": "second"})
        return msgspec.json.decode(answer.options["worker-0"], type=ProxyOptions), answer.needs_restart


FLAGS = {"port": "0", "workers": "1"}


def test_what_can_change_does_and_what_cannot_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    one = "[[backends]]\nname = 'a'\nurl = 'http://a'\napi_key_env = 'KEY'\n"
    file.write_text(f"metrics_port = 0\ndata_dir = '{tmp_path}/data'\n" + one)
    started = Started(file, FLAGS)
    assert started.before.backends[0].api_key == "first"
    changed = "metrics_port = 7\nallow_paths = ['/x']\nfirst_byte_timeout_s = 9\njournal_fsync = 'never'\nport = 9\n"
    file.write_text(f"data_dir = '{tmp_path}/elsewhere'\n" + changed + one + one.replace("'a'", "'b'"))
    options, needs_restart = started.again()
    assert [(each.name, each.api_key) for each in options.backends] == [("a", "second"), ("b", "second")]
    assert (options.allow_paths, options.first_byte_timeout_s) == (["/x"], 9)
    for name in started.before.__struct_fields__:
        if name not in rows() or not rows()[name].reload:
            assert getattr(options, name) == getattr(started.before, name), name
    assert needs_restart == ["metrics_port", "data_dir", "db_path", "backup_dir", "journal_dir", "journal_fsync"]


def test_the_metrics_process_gets_new_prices_and_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text(f"data_dir = '{tmp_path}/data'\nmetrics_port = 0\n")
    loaded = load({}, {}, file)
    readers = launch.listen_for_readers(loaded.settings)
    child = launch.metrics_spec(loaded, readers, None)
    reload = launch.launch_plan(loaded, [child], [readers]).reload
    assert reload is not None
    assert reload.children == ["metrics"]
    row = "[[prices]]\nmodel = 'a'\ninput_usd_per_mtok = 1\n"
    file.write_text(f"data_dir = '{tmp_path}/elsewhere'\nmetrics_port = 0\npublic_prices = false\n" + row)
    request = ReloadRequest(start_json=reload.start_json, options={"metrics": child.options_json})
    answer = read_again(request, {})
    before, after = (
        msgspec.json.decode(text, type=MetricsOptions) for text in (child.options_json, answer.options["metrics"])
    )
    assert [row.model for row in after.prices] == ["a"]
    assert msgspec.structs.replace(after, prices=[], public_prices=True, settings=before.settings) == before
    told = {shown["name"]: shown["value"] for shown in after.settings}
    assert (told["prices"], told["public_prices"]) == ("a", "false")
    assert told["data_dir"] == {shown["name"]: shown["value"] for shown in before.settings}["data_dir"]
    assert answer.needs_restart == ["data_dir", "db_path", "backup_dir", "journal_dir"]
    for each in readers.groups[0]:
        each.close()


def test_a_flag_stays_stronger_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text("idle_timeout_s = 1\n")
    started = Started(file, {**FLAGS, "idle_timeout_s": "5"}, backend="http://found")
    file.write_text("idle_timeout_s = 2\ninject_usage = true\n")
    options, _ = started.again()
    assert (options.idle_timeout_s, options.inject_usage) == (5, True)
    assert options.backend == "http://found"


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("", "names no backend any more"),
        ("[[backends]]\nname = 'a'", r"backends\[0\].url \(.* line 1\): is missing"),
        ("port = \n", r"is not TOML: .*line 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, toml: str, problem: str) -> None:
    file = tmp_path / "file.toml"
    file.write_text("[[backends]]\nname = 'a'\nurl = 'http://a'\n")
    started = Started(file, FLAGS)
    file.write_text(toml)
    with pytest.raises(SettingsError, match=problem):
        started.again()


def test_without_a_file_there_is_nothing_to_read_again() -> None:
    assert launch.launch_plan(load({}, {}), [], []).reload is None


class Load:
    """Clients that ask and ask on connections that stay open; every answer must be whole and good."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(3)
        self._results = [self._pool.submit(self._ask_on) for _ in range(3)]

    def _ask_on(self) -> int:
        asked = 0
        with Client(self._port) as client:
            while not self._stop.is_set():
                client.send(post())
                answer = client.answer()
                assert (answer.status, answer.whole) == (200, True), answer
                asked += 1
        return asked

    def stop(self) -> int:
        """How many requests were asked; raises what went wrong with any."""
        self._stop.set()
        self._pool.shutdown()
        return sum(result.result() for result in self._results)


@pytest.mark.system
def test_no_request_is_lost_while_settings_are_read_again(tmp_path: Path) -> None:
    gate = Gate()
    first_event, *other_events = chat_events()

    def slow_stream(request: Request) -> Script:
        if b"slow" not in request.body:
            return openai_handler(request)
        rest = b"".join(map(chunk, other_events)) + LAST_CHUNK
        return [Send(head(200, EVENT_STREAM, CHUNKED) + chunk(first_event)), gate.wait(), Send(rest)]

    with FakeUpstream(slow_stream) as old, FakeUpstream() as new:
        file = tmp_path / "file.toml"

        def settings(name: str, server: FakeUpstream, more: str = "") -> str:
            return f"[[backends]]\nname = '{name}'\nurl = '{server.url}'\n{more}"

        file.write_text(settings("old", old))
        with serving(tmp_path, "--workers", "2", "--config", str(file)) as (process, log, hosts):
            until = partial(wait_until, process=process, log=log)

            def said(words: str, count: int = 1) -> Callable[[], bool]:
                return lambda: log.read_text().count(words) >= count

            port = int(hosts["Proxy"].rpartition(":")[2])
            pids = sorted(child.pid for child in psutil.Process(process.pid).children())
            load_on_it = Load(port)
            with Client(port) as stream:
                stream.send(post(b'{"model":"slow","stream":true,"messages":[]}'))
                until(lambda: any(b"slow" in request.body for request in old.requests), "the stream")

                file.write_text(settings("new", new, "models = ['[']\n"))
                process.send_signal(signal.SIGHUP)
                until(said("the new settings are refused"), "the refusal")
                assert f"backends[0].models = ['['] ({file} line 4): '[' has a [ without its ]" in log.read_text()
                before = len(old.requests)
                until(lambda: len(old.requests) > before + 20, "requests under the old settings")
                assert not new.requests

                file.write_text(settings("new", new))
                process.send_signal(signal.SIGHUP)
                until(said("new settings are in use; backends: new", 2), "both workers")
                until(lambda: len(new.requests) > 20, "requests under the new settings")
                gate.open()
                answer = stream.answer()
                assert answer.whole
                assert answer.body == b"".join([first_event, *other_events])
                asked = load_on_it.stop() + 1
                before = len(old.requests)
                load_on_it = Load(port)
                backends = get_json(int(hosts["Metrics"].rpartition(":")[2]), "/health")["backends"]
                assert {each["name"] for each in backends} == {"new"}
                served = len(new.requests)
                until(lambda: len(new.requests) > served + 20, "more requests under the new settings")
            asked += load_on_it.stop()
            assert len(old.requests) == before
            assert len(old.requests) + len(new.requests) == asked
            until(lambda: _recorded(hosts["Metrics"]) == {"completed": asked}, f"{asked} records")
            assert sorted(child.pid for child in psutil.Process(process.pid).children()) == pids
            assert "Traceback" not in log.read_text()


def _recorded(netloc: str) -> dict[str, int]:
    connection = http.client.HTTPConnection(netloc, timeout=10)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    counts: dict[str, int] = {}
    for line in lines:
        if line.startswith("llm_proxy_requests_total{"):
            outcome = line.split('outcome="')[1].split('"')[0]
            counts[outcome] = counts.get(outcome, 0) + int(float(line.rsplit(" ", 1)[1]))
    return {outcome: count for outcome, count in counts.items() if count}
