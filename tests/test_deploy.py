"""What stands in deploy/, the Dockerfile and the release's own parts agree with the program.

That packages, image and chart work is shown by `make try-packages`.
"""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from tools import make_deb, provenance, try_deb

from llm_metrics_proxy.config.settings import ENV_PREFIX
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT, rows
from llm_metrics_proxy.metrics_service import APP_VERSION

ROOT: Final = Path(__file__).parents[1]
DEPLOY: Final = ROOT / "deploy"
CHART: Final = DEPLOY / "helm" / "llm-metrics-proxy"
COMPOSE: Final = sorted((DEPLOY / "compose").glob("*.yaml"))
HEALTHCHECK: Final = DEPLOY / "container" / "healthcheck.py"


def test_every_variable_that_is_set_somewhere_is_a_setting() -> None:
    known = {row.environment for row in rows().values()} | {CONFIG_ENVIRONMENT}
    for file in (ROOT / "Dockerfile", *(path for path in DEPLOY.rglob("*") if path.is_file())):
        named = set(re.findall(rf"{ENV_PREFIX}[A-Z_]+[A-Z]", file.read_text(encoding="utf-8")))
        assert named <= known, file


def test_the_settings_of_the_debian_package_are_valid_also_those_that_are_only_suggested(tmp_path: Path) -> None:
    text = (make_deb.DEBIAN / "config.toml").read_text(encoding="utf-8")
    file = tmp_path / "config.toml"
    for given in (text, re.sub(r"(?m)^# (?=\w+ = )", "", text)):
        file.write_text(given)
        settings = load({}, {"LLM_METRICS_PROXY_METRICS_TOKEN": "12345678"}, file).settings
        assert settings.backend == "http://127.0.0.1:11434"
    assert settings.host == "0.0.0.0"  # one of those that are suggested


def test_the_unit_of_the_debian_package_starts_its_program_and_reaches_little(tmp_path: Path) -> None:
    unit = make_deb.unit()
    assert re.findall(r"(?m)^ExecStart=(\S+)", unit) == ["/usr/bin/llm-metrics-proxy"]
    if shutil.which("systemd-analyze"):
        (tmp_path / "it.service").write_text(unit)
        assert try_deb.exposure(tmp_path, Path("it.service")) < try_deb.MOST_EXPOSURE


def test_a_package_for_a_newer_python_counts_as_newer() -> None:
    versions = [make_deb.Deb(Path("llm_metrics_proxy-5.9.1-py3-none-any.whl"), python, "amd64", 0).version
                for python in make_deb.PYTHONS]  # fmt: skip
    assert versions == sorted(versions)
    assert versions[0] == "5.9.1-1~py3.11"


@pytest.mark.parametrize(
    "file", [file for file in COMPOSE if file.name != "prometheus.yaml"], ids=lambda file: file.name
)
def test_compose_files_mount_what_there_is_and_lock_the_proxy_up(file: Path) -> None:
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    alone = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]["proxy"]
    proxy = told["services"]["proxy"]
    assert proxy is alone or proxy.get("extends", {}).get("file") == "compose.yaml" or proxy == alone
    assert (alone["read_only"], alone["cap_drop"], alone["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert int(alone["stop_grace_period"].removesuffix("s")) <= 10
    named: set[str] = set()
    for service in told["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (file.parent / source).is_file(), source
            else:
                named.add(source)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), "another machine reaches it only if somebody wants that"
    assert named <= told["volumes"].keys()


def _leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{before}.{name}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path


def test_the_chart_is_of_this_version_and_its_templates_use_its_values_and_no_others() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (about["version"], about["appVersion"]) == (APP_VERSION, APP_VERSION)
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values((?:\.\w+)+)", text))
    leaves = set(_leaves(values))
    for path in used:
        assert any(f"{leaf}.".startswith(f"{path}.") for leaf in leaves), f"{path} is in no values.yaml"
    for leaf in leaves:
        last = leaf.rpartition(".")[2]
        assert any(f"{leaf}.".startswith(f"{path}.") for path in used) or f".{last}" in text, f"nobody uses {leaf}"
    rules = CHART / "files" / "prometheus-alerts.yml"
    assert rules.samefile(ROOT / "contrib" / "prometheus-alerts.yml")


@pytest.mark.system
def test_a_container_is_healthy_if_every_port_says_that_it_is_ready() -> None:
    statuses = {"/ready": 200}

    class ReadyHandler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), ReadyHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_port)

        def asked(*ports: str) -> tuple[int, str]:
            command = [sys.executable, "-I", str(HEALTHCHECK), *ports]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stderr

        assert asked(port, port) == (0, "")
        statuses["/ready"] = 503
        code, said = asked(port)
        assert (code, said.split()[:3]) == (1, ["port", f"{port}:", "503"])
        server.shutdown()
    code, said = asked(port)
    assert code == 1
    assert "refused" in said


def test_a_release_says_where_it_comes_from_and_its_sums_are_right(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("b.whl", "a.deb")]
    for file in files:
        file.write_bytes(os.urandom(100))
    told = provenance.statement(files, sources=ROOT, commit="0" * 40, epoch=1)
    assert told == provenance.statement(files[::-1], sources=ROOT, commit="0" * 40, epoch=1)
    assert json.loads(provenance.written(told)) == told
    assert [subject["name"] for subject in told["subject"]] == ["a.deb", "b.whl"]
    locks = told["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {each["name"] for each in locks} == {"source", *provenance.LOCKS}
    (tmp_path / "SHA256SUMS").write_text(provenance.checksums(files))
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=True)
    assert told["subject"][0]["digest"]["sha256"] == provenance.sha256(tmp_path / "a.deb")
