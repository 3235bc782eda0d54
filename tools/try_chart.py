"""The Helm chart: linted, rendered in every mode, and each object checked against Kubernetes' own schemas, strictly.

    .venv-release/bin/python -m tools.try_chart        needs helm on the PATH, or named by HELM

Objects of operators (ServiceMonitor, PrometheusRule, Middleware) have no schema here: their few fields are compared
with a list. The rules are those of contrib/, which `promtool` reads. Nothing is installed: no cluster is at hand.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import kubernetes_validate
import yaml

CHART: Final = Path(__file__).parents[1] / "deploy" / "helm" / "llm-metrics-proxy"
VERSIONS: Final = ("1.30", "1.34", "1.37")
_BASE: Final = {"backend": "http://ollama:11434", "metricsToken.existingSecret": "token"}
_CLICKHOUSE: Final = {
    **_BASE,
    "store.kind": "clickhouse",
    "store.address": "clickhouse://metrics@clickhouse:8443/llm_metrics",
    "store.existingSecret": "clickhouse",
    "apiKeySecret.existingSecret": "api-key",
}
_OPERATORS: Final = {
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}),
    "PrometheusRule": ("monitoring.coreos.com/v1", {"groups"}),
    "Middleware": ("traefik.io/v1alpha1", {"stripPrefix"}),
}


class Case(NamedTuple):
    """Values, and what they are to give: how many objects of each kind."""

    name: str
    values: dict[str, str]
    kinds: dict[str, int]


_ALWAYS: Final = {"ConfigMap": 1, "Service": 3, "NetworkPolicy": 1}
CASES: Final = (
    Case("SQLite", _BASE, {**_ALWAYS, "StatefulSet": 1}),
    Case(
        "ClickHouse",
        _CLICKHOUSE,
        {**_ALWAYS, "Deployment": 1, "StatefulSet": 1, "PodDisruptionBudget": 1},
    ),
    Case(
        "ClickHouse, growing, with volumes",
        {**_CLICKHOUSE, "proxy.autoscaling.enabled": "true", "proxy.persistence.enabled": "true"},
        {**_ALWAYS, "StatefulSet": 2, "PodDisruptionBudget": 1, "HorizontalPodAutoscaler": 1},
    ),
    Case(
        "Traefik, Prometheus operator",
        {
            **_BASE,
            "ingress.enabled": "true",
            "ingress.host": "tools.example",
            "ingress.clientsHost": "llm.example",
            "ingress.tlsSecret": "tls",
            "serviceMonitor.enabled": "true",
            "serviceMonitor.labels.release": "prometheus",
            "prometheusRule.enabled": "true",
        },
        {**_ALWAYS, "StatefulSet": 1, "Ingress": 2, "Middleware": 1, "ServiceMonitor": 1, "PrometheusRule": 1},
    ),
    Case(
        "nginx",
        {**_BASE, "ingress.enabled": "true", "ingress.host": "tools.example", "ingress.controller": "nginx"},
        {**_ALWAYS, "StatefulSet": 1, "Ingress": 1},
    ),
)
# What is refused, and a word of the reason.
REFUSED: Final = (
    ({}, "set backend"),
    ({"backend": "http://x"}, "kubectl create secret generic llm-metrics-token"),
    ({**_BASE, "proxy.autoscaling.enabled": "true"}, "needs store.kind=clickhouse"),
    ({**_BASE, "store.kind": "clickhouse"}, "store.address"),
    ({**_CLICKHOUSE, "apiKeySecret.existingSecret": ""}, "kubectl create secret generic llm-api-key"),
    ({**_BASE, "ingress.enabled": "true"}, "ingress.host"),
    ({**_BASE, "ingress.enabled": "true", "ingress.host": "x", "ingress.path": "/a/"}, "ingress.path"),
)


def helm(*words: str) -> "subprocess.CompletedProcess[str]":
    """One run of helm."""
    return subprocess.run([os.environ.get("HELM", "helm"), *words], capture_output=True, text=True, check=False)


def _template(values: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    flags = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return helm("template", "llm", str(CHART), "--namespace", "tools", "--kube-version", VERSIONS[-1], *flags)


def check(one: dict[str, Any]) -> None:
    """An object, by its schema in each version of Kubernetes. Raises what names the fault."""
    kind = one["kind"]
    if kind in _OPERATORS:
        version, fields = _OPERATORS[kind]
        assert (one["apiVersion"], set(one["spec"])) == (version, fields), one
        return
    for version in VERSIONS:
        kubernetes_validate.validate(one, version, strict=True)
    if pod := one["spec"].get("template") if kind in {"Deployment", "StatefulSet"} else None:
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            told = container["securityContext"]
            assert told["readOnlyRootFilesystem"], container["name"]
            assert told["capabilities"] == {"drop": ["ALL"]}, container["name"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]


def main() -> None:
    """Lint, render, check; the exit code is 0 if all of it held."""
    flags = [word for name, value in _BASE.items() for word in ("--set", f"{name}={value}")]
    linted = helm("lint", "--strict", str(CHART), *flags)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    sys.stdout.write(f"helm lint --strict: {linted.stdout.strip().splitlines()[-1]}\n")
    for case in CASES:
        rendered = _template(case.values)
        assert rendered.returncode == 0, f"{case.name}: {rendered.stderr}"
        objects = [one for one in yaml.safe_load_all(rendered.stdout) if one]
        for one in objects:
            check(one)
        kinds = Counter(one["kind"] for one in objects)
        assert kinds == case.kinds, f"{case.name}: {dict(kinds)}"
        sys.stdout.write(f"{case.name}: {len(objects)} objects, to the schemas of Kubernetes {', '.join(VERSIONS)}\n")
    for values, reason in REFUSED:
        said = _template(values)
        assert said.returncode != 0, values
        assert re.search(re.escape(reason), said.stderr), said.stderr
    sys.stdout.write(f"{len(REFUSED)} sets of values that cannot work are refused, each with what to do\n")


if __name__ == "__main__":
    main()
