"""``doctor``: every finding, every setting with its origin, and an exit code."""

import json

import pytest

from llm_metrics_proxy.cli.checks import CHECKS
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.processes import discovery
from tests.cli.conftest import Cli
from tests.config.test_service_links import kubernetes

FREE = ("--port", "0", "--metrics-port", "0")


@pytest.fixture(autouse=True)
def lonely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever runs on this machine is none of the tests' business."""
    monkeypatch.setattr(discovery, "CANDIDATES", ())


def test_a_fresh_installation_passes(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_PROXY_METRICS_TOKEN", "very-secret-token")
    ran = cli("doctor", *FREE)
    assert ran.code == 0, ran.out
    words = [line.split() for line in ran.out.splitlines()]
    assert ["port", "0", "flag", "--port"] in words
    assert ["metrics_token", "***", "environment", "LLM_METRICS_PROXY_METRICS_TOKEN"] in words
    assert ["host", "127.0.0.1", "default"] in words
    assert "very-secret-token" not in ran.out
    for check in CHECKS:
        assert any(line[:1] == [check.__name__] for line in words)


def test_json_has_every_finding_and_every_setting_with_its_origin(cli: Cli) -> None:
    document = json.loads(cli("doctor", "--json", *FREE).out)
    assert document["ok"] is True
    assert [finding["check"] for finding in document["findings"]] == [check.__name__ for check in CHECKS]
    assert document["settings"].keys() == rows().keys()
    assert document["settings"]["port"] == {"value": "0", "origin": "flag --port"}
    assert document["settings"]["backend"] == {"value": "none", "origin": "default"}


def test_a_failed_check_is_exit_code_1_with_what_to_do(cli: Cli) -> None:
    ran = cli("doctor", *FREE, "--backend", "http://127.0.0.1:9")
    assert ran.code == 1
    assert "FAILED" in ran.out
    assert "→ start it, or name another with --backend" in ran.out
    assert json.loads(cli("doctor", "--json", *FREE, "--backend", "http://127.0.0.1:9").out)["ok"] is False


def test_a_deep_look_compares_roll_ups_too(cli: Cli) -> None:
    document = json.loads(cli("doctor", "--deep", "--json", *FREE).out)
    assert [finding["check"] for finding in document["findings"]][-1] == "rollups"


def test_what_an_orchestrator_injected_is_told_once_and_stops_nothing(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**kubernetes("LLM_METRICS_PROXY"), **kubernetes("LLM_METRICS_PROXY_METRICS")}.items():
        monkeypatch.setenv(name, value)
    document = json.loads(cli("doctor", "--json", *FREE).out)
    told = [finding for finding in document["findings"] if finding["check"] == "links"]
    assert len(told) == 1
    assert told[0]["status"] == "ok"
    assert "LLM_METRICS_PROXY_METRICS_SERVICE_HOST" in told[0]["found"]
    assert "16 variables" in told[0]["found"]
