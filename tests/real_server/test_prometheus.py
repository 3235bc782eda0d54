"""Debian's Prometheus scraping this proxy: it takes what it is given, and the dashboard and the rules work on it."""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from math import isnan
from pathlib import Path
from subprocess import run
from typing import Any, Final

import pytest
from tools import make_dashboard

from tests.child_processes import answers, child
from tests.cli.test_serve import serving
from tests.proxy.client import Client, post
from tests.upstream import FakeUpstream, openai_handler, unused_port
from tests.upstream.conversation import Request
from tests.upstream.replies import chat_events, usage_event
from tests.upstream.server import stream_script
from tests.upstream.steps import Script
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.system,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="Debian's package `prometheus` is not installed (apt-get install prometheus)",
    ),
]
RULES: Final = make_dashboard.FILE.with_name("prometheus-alerts.yml")
LIMIT_S: Final = 90.0
_CONFIG: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: llm-metrics-proxy
    static_configs: [{{targets: ["{target}"]}}]
"""
_STREAM: Final = b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}'


class Prometheus:
    """One that runs, asked by its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=20) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def values(self, query: str) -> list[float]:
        """Of an instant query; what is no number is left out."""
        found = [float(each["value"][1]) for each in self.ask("/api/v1/query", query=query)["result"]]
        return [value for value in found if not isnan(value)]


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[tuple[Prometheus, Callable[[Callable[[], bool], str], None]]]:
    config, log, port = folder / "prometheus.yml", folder / "prometheus.log", unused_port()
    config.write_text(_CONFIG.format(rules=RULES, target=target))
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with child([*command, f"--web.listen-address=127.0.0.1:{port}"], log, stop_s=30) as process:
        until = partial(wait_until, timeout_s=LIMIT_S, process=process, log=log)
        until(lambda: answers(f"127.0.0.1:{port}", "/-/ready"), "Prometheus")
        yield Prometheus(f"http://127.0.0.1:{port}"), until


def caching(request: Request) -> Script:
    """As ``openai_handler``; of each prompt of a stream it had a part in its cache."""
    if request.method == "GET" or not request.json().get("stream"):
        return openai_handler(request)
    *events, done = chat_events()
    return stream_script([*events, usage_event(cached_tokens=8), done])


def traffic(port: int) -> None:
    """Streams and whole answers, and one that fails."""
    with Client(port) as client:
        for body in (_STREAM, b'{"model":"m","messages":[]}', _STREAM):
            client.send(post(body))
            assert client.answer().whole


def queries() -> list[str]:
    panels = json.loads(make_dashboard.FILE.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def as_grafana_asks(query: str) -> str:
    for name, value in {"$__rate_interval": "30s", "$__range": "5m", "$model": ".*", "$backend": ".*"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def test_every_query_of_the_dashboard_has_data_and_every_rule_is_evaluated(tmp_path: Path) -> None:
    with FakeUpstream(caching) as upstream:
        (tmp_path / "f.toml").write_text(
            f"[[backends]]\nname = 'gpu-1'\nurl = '{upstream.url}'\n"
            "[[prices]]\nmodel = '*'\ninput_usd_per_mtok = 1\ncached_usd_per_mtok = 0.1\noutput_usd_per_mtok = 2\n"
            "[[slos]]\nname = 'answered'\nobjective = 0.9\n"
            "[[alerts]]\nname = 'errors'\nmetric = 'error_rate'\nthreshold = 0.5\n"
        )
        with (
            serving(tmp_path, "--config", str(tmp_path / "f.toml"), "--watch-interval-s", "1") as (_, _log, hosts),
            prometheus(tmp_path, hosts["Metrics"]) as (asked, until),
            ThreadPoolExecutor(1) as pool,
        ):
            port = int(hosts["Proxy"].rpartition(":")[2])
            for query in map(as_grafana_asks, queries()):

                def has_data(query: str = query) -> bool:
                    pool.submit(traffic, port).result()
                    return bool(asked.values(query))

                until(has_data, f"data for {query}")
            for _name, metric, label in make_dashboard.VARIABLES:
                assert asked.ask(f"/api/v1/label/{label}/values", **{"match[]": metric})
            assert asked.values("sum(rate(llm_proxy_cost_usd_total[30s]))")[0] > 0

            def rules() -> list[Any]:
                return [rule for group in asked.ask("/api/v1/rules")["groups"] for rule in group["rules"]]

            until(lambda: bool(rules()) and all(rule["health"] == "ok" for rule in rules()), "rules that are evaluated")
            assert all(not rule.get("lastError") for rule in rules())
            (target,) = asked.ask("/api/v1/targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")


def test_promtool_accepts_the_rules_and_finds_nothing_wrong_with_the_metrics(tmp_path: Path) -> None:
    checked = run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with FakeUpstream(openai_handler) as upstream, serving(tmp_path, "--backend", upstream.url) as (_, _log, hosts):
        traffic(int(hosts["Proxy"].rpartition(":")[2]))
        with urllib.request.urlopen(f"http://{hosts['Metrics']}/metrics", timeout=20) as answer:
            body = answer.read()
    linted = run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr
