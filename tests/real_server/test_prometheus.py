"""Debian's Prometheus scraping this proxy: it takes what it is given, and the dashboard and the rules work on it."""

import json
import os
import shutil
import time
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
from tools import grafana_prometheus, make_dashboard

from tests.child_processes import answers, child
from tests.cli.test_serve import serving
from tests.proxy.client import Client, post
from tests.servers import pages
from tests.servers.test_poller import page
from tests.servers.test_poller import serving as server_of
from tests.upstream import FakeUpstream, openai_handler, unused_port
from tests.upstream.conversation import Request
from tests.upstream.replies import chat_completion, json_response
from tests.upstream.steps import Script, Send
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
# What a subscription and a limit per minute say with an answer.
_SAID: Final = (
    ("x-ratelimit-limit-requests", "50"),
    ("x-ratelimit-remaining-requests", "20"),
    ("x-ratelimit-reset-requests", "60s"),
    ("x-codex-primary-used-percent", "12.5"),
    ("x-codex-primary-window-minutes", "300"),
    ("x-codex-primary-reset-after-seconds", "3600"),
)
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
    command += [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"]
    with child(command, log, stop_s=30) as process:
        until = partial(wait_until, timeout_s=LIMIT_S, process=process, log=log)
        until(lambda: answers(f"127.0.0.1:{port}", "/-/ready"), "Prometheus")
        yield Prometheus(f"http://127.0.0.1:{port}"), until


def traffic(port: int) -> None:
    """Streams and whole answers, and one that fails."""
    with Client(port) as client:
        for body in (_STREAM, b'{"model":"m","messages":[]}', _STREAM):
            client.send(post(body))
            assert client.answer().whole


def a_server(request: Request) -> Script:
    """One that answers, says what is left of its limits, and has vLLM's page of numbers."""
    if request.target == "/metrics":
        return (Send(page(pages.VLLM_V1)),)
    if request.method == "POST" and not request.json().get("stream"):
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        cached = {**usage, "prompt_tokens_details": {"cached_tokens": 4}}
        return (Send(json_response({**chat_completion(model="m"), "usage": cached}, *_SAID)),)
    return openai_handler(request)


def queries() -> list[str]:
    panels = json.loads(make_dashboard.FILE.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def as_grafana_asks(query: str) -> str:
    for name, value in {"$__rate_interval": "30s", "$__range": "5m", "$model": ".*", "$backend": ".*"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def test_every_query_of_the_dashboard_has_data_and_every_rule_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = tmp_path / "bin" / "nvidia-smi"
    gpus.parent.mkdir()
    gpus.write_bytes(b"#!/bin/sh\ncat <<'END'\n" + pages.NVIDIA_SMI + b"END\n")
    gpus.chmod(0o755)
    monkeypatch.setenv("PATH", f"{gpus.parent}:{os.environ['PATH']}")
    with (
        FakeUpstream(a_server) as upstream,
        FakeUpstream(server_of({"/api/ps": page(pages.OLLAMA_PS)})) as ollama,
        FakeUpstream(server_of({"/metrics": page(pages.LLAMA_CPP), "/slots": page(pages.LLAMA_SLOTS)})) as llama,
    ):
        (tmp_path / "f.toml").write_text(
            f"[[backends]]\nname = 'gpu-1'\nurl = '{upstream.url}'\n"
            f"[[backends]]\nname = 'ollama'\nurl = '{ollama.url}'\nmodels = ['of-ollama']\n"
            f"[[backends]]\nname = 'llama'\nurl = '{llama.url}'\nmodels = ['of-llama']\n"
            "[[prices]]\nmodel = '*'\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n"
            "[[slos]]\nname = 'answered'\nobjective = 0.9\n"
            "[[alerts]]\nname = 'errors'\nmetric = 'error_rate'\nthreshold = 0.5\n"
            "[[budgets]]\nname = 'team'\nusd = 50\nper = 'month'\n"
        )
        flags = ["--config", str(tmp_path / "f.toml"), "--watch-interval-s", "1", "--server-metrics-interval-s", "1"]
        flags += ["--server-metrics", "local"]  # which the tests' own start turns off
        with (
            serving(tmp_path, *flags, "--gpu-metrics", "on") as (_, _log, hosts),
            prometheus(tmp_path, hosts["Metrics"]) as (asked, until),
            ThreadPoolExecutor(1) as pool,
        ):
            port = int(hosts["Proxy"].rpartition(":")[2])
            for query in map(as_grafana_asks, queries()):

                def has_data(query: str = query) -> bool:
                    pool.submit(traffic, port).result()
                    return bool(asked.values(query))

                until(has_data, f"data for {query}")
            for variable in grafana_prometheus.VARIABLES:
                labels = f"/api/v1/label/{variable.name}/values"
                assert asked.ask(labels, **{"match[]": grafana_prometheus.METRIC})

            def exemplars() -> Any:
                query = "llm_proxy_time_to_first_token_seconds_bucket"
                return asked.ask(
                    "/api/v1/query_exemplars", query=query, start=str(time.time() - 600), end=str(time.time())
                )

            until(lambda: bool(exemplars()), "exemplars")
            (labels, *_) = [each["labels"] for series in exemplars() for each in series["exemplars"]]
            with urllib.request.urlopen(f"http://{hosts['Metrics']}/api/v1/requests/{labels['request_id']}") as answer:
                assert json.load(answer)["request_id"] == labels["request_id"]
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


_QUOTA: Final = '{backend="b", api_key_id="k", limit="primary"}'
# Alert → what makes it fire, and a series that would, changed so that it does not.
FIRING: Final[dict[str, tuple[dict[str, str], dict[str, str]]]] = {
    "LLMProxyBudgetUsed": (
        {'llm_proxy_budget_used_ratio{budget="team", value=""}': "1.02x90"},
        {'llm_proxy_budget_used_ratio{budget="team", value=""}': "0.98x90"},
    ),
    "LLMProxyBudgetWillBePassed": (
        {
            'llm_proxy_budget_projected_ratio{budget="team", value="anna"}': "1.4x90",
            'llm_proxy_budget_used_ratio{budget="team", value="anna"}': "0.6x90",
        },
        {
            'llm_proxy_budget_projected_ratio{budget="team", value="anna"}': "1.4x90",
            'llm_proxy_budget_used_ratio{budget="team", value="anna"}': "1.1x90",  # the other rule's
        },
    ),
    "LLMProxyLimitRunsOut": (
        {
            f"llm_proxy_quota_runs_out_timestamp_seconds{_QUOTA}": "7200x90",
            f"llm_proxy_quota_reset_timestamp_seconds{_QUOTA}": "9000x90",
        },
        {
            f"llm_proxy_quota_runs_out_timestamp_seconds{_QUOTA}": "7200x90",
            f"llm_proxy_quota_reset_timestamp_seconds{_QUOTA}": "7000x90",  # it begins anew before
        },
    ),
    "LLMProxyLimitReached": (
        {f"llm_proxy_quota_left_ratio{_QUOTA}": "0x90"},
        {f"llm_proxy_quota_left_ratio{_QUOTA}": "0.01x90"},
    ),
    "LLMProxyServerSilent": (
        {'llm_proxy_server_up{backend_name="gpu-1"}': "0x90"},
        {'llm_proxy_server_up{backend_name="gpu-1"}': "1x90"},
    ),
    "LLMProxyServerQueues": (
        {'llm_proxy_server_requests_waiting{backend_name="gpu-1"}': "12x90"},
        {'llm_proxy_server_requests_waiting{backend_name="gpu-1"}': "9x90"},
    ),
    "LLMProxyServerCacheFull": (
        {'llm_proxy_server_kv_cache_usage_ratio{backend_name="gpu-1"}': "0.97x90"},
        {'llm_proxy_server_kv_cache_usage_ratio{backend_name="gpu-1"}': "0.5x90"},
    ),
    "LLMProxyNotShipping": ({"llm_proxy_shipping_up": "0x90"}, {"llm_proxy_shipping_up": "1x90"}),
    "LLMProxyCacheHitRateFell": (
        {
            'llm_proxy_cached_tokens_total{model="m"}': "0+90x60 5400+20x80",
            'llm_proxy_cache_prompt_tokens_total{model="m"}': "0+100x140",
        },
        {
            'llm_proxy_cached_tokens_total{model="m"}': "0+90x140",
            'llm_proxy_cache_prompt_tokens_total{model="m"}': "0+100x140",
        },
    ),
}


def _unit_test(alert: str, series: dict[str, str], *, fires: bool) -> dict[str, Any]:
    """As ``promtool test rules`` takes it. Whether it fires is asked as a query: its words do not matter here."""
    expected = [{"labels": "{}", "value": 1}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"count(ALERTS{{alertname='{alert}', alertstate='firing'}}) by ()",
                "eval_time": "75m" if alert != "LLMProxyCacheHitRateFell" else "130m",
                "exp_samples": expected,
            }
        ],
    }


def test_each_rule_of_budgets_limits_and_servers_fires_when_it_should_and_else_not(tmp_path: Path) -> None:
    stories = [
        _unit_test(alert, series, fires=fires)
        for alert, told in FIRING.items()
        for fires, series in zip((True, False), told, strict=True)
    ]
    file = tmp_path / "rules_test.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": stories}))
    done = run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
