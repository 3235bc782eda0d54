"""What stands in contrib/ is what the sources give. That it works is shown in tests/real_server/test_prometheus.py."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from tools import make_dashboard

from llm_metrics_proxy.api.health import ShippingHealth
from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.config.settings import ENV_PREFIX, Settings
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import CONFIG_FLAG, rows
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.processes import launch, options
from tests.api.test_prometheus import health

ROOT: Final = Path(__file__).parents[1]
UNIT: Final = ROOT / "contrib" / "llm-metrics-proxy.service"


DOCUMENTS: Final = make_dashboard.documents()
PROVISIONING: Final = make_dashboard.CONTRIB / "grafana" / "provisioning"
every_dashboard = pytest.mark.parametrize("file", DOCUMENTS, ids=[file.stem for file in DOCUMENTS])


@every_dashboard
def test_a_dashboard_is_what_its_table_gives(file: Path) -> None:
    found = file.read_text(encoding="utf-8")
    assert found == make_dashboard.text(DOCUMENTS[file]), "run: python -m tools.make_dashboard"


def lost(told: Any, read: Any, path: str = "") -> list[str]:
    """What a reader has dropped or changed."""
    if isinstance(told, dict) and isinstance(read, dict):
        return [
            each
            for name, value in told.items()
            for each in (lost(value, read[name], f"{path}.{name}") if name in read else [f"{path}.{name}"])
        ]
    if isinstance(told, list) and isinstance(read, list) and len(told) == len(read):
        pairs = enumerate(zip(told, read, strict=True))
        return [each for index, (one, other) in pairs for each in lost(one, other, f"{path}[{index}]")]
    return [] if told == read else [path]


@every_dashboard
def test_a_dashboard_has_only_what_grafanas_own_schema_knows(file: Path) -> None:
    """Grafana's types read it, and what they write again has everything: a name that they do not know is dropped."""
    register_default_plugins()
    document = DOCUMENTS[file]
    assert lost(document, json.loads(JSONEncoder().encode(Dashboard.from_json(document)))) == []
    misspelt = {**document, "refersh": "1m"}
    assert lost(misspelt, json.loads(JSONEncoder().encode(Dashboard.from_json(misspelt)))) == [".refersh"]


@every_dashboard
def test_the_panels_of_a_dashboard_have_room_and_names_of_their_own(file: Path) -> None:
    panels = DOCUMENTS[file]["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def test_the_files_for_provisioning_name_the_sources_that_the_dashboards_ask() -> None:
    told = yaml.safe_load((PROVISIONING / "datasources" / "llm-metrics-proxy.yml").read_text(encoding="utf-8"))
    kinds = {document["templating"]["list"][0]["query"] for document in DOCUMENTS.values()}
    assert {source["type"] for source in told["datasources"]} == kinds
    assert len({source["uid"] for source in told["datasources"]}) == len(kinds)
    (prometheus,) = (source for source in told["datasources"] if source["type"] == "prometheus")
    exemplars = {each["name"] for each in prometheus["jsonData"]["exemplarTraceIdDestinations"]}
    assert exemplars <= {"request_id", "trace_id"}  # the labels that tests/api/test_prometheus.py finds
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "llm-metrics-proxy.yml").read_text())["providers"]
    assert (provider["type"], set(provider["options"])) == ("file", {"path"})


def test_dashboard_and_rules_name_only_metrics_that_there_are() -> None:
    shipping = ShippingHealth(
        error=None, waiting_records=0, waiting_bytes=0, shipped_records=0, away_since_unix_ms=None,
        last_shipped_unix_ms=None,
    )  # fmt: skip
    body, _ = Exposition(CounterBook()).render(msgspec.structs.replace(health(), shipping=shipping), "")
    there = set(re.findall(r"^# TYPE (\S+)", body.decode(), re.M))
    for file in (make_dashboard.FILE, make_dashboard.CONTRIB / "prometheus-alerts.yml"):
        named = set(re.findall(r"llm_proxy_\w+", file.read_text(encoding="utf-8")))
        assert named, file.name
        assert {name.removesuffix("_bucket") for name in named} <= there, file.name


def unit() -> dict[str, str]:
    """Its directives; those that may be repeated are not."""
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#["]
    directives = dict(line.split("=", 1) for line in lines)
    assert len(directives) == len(lines)
    return directives


def test_the_unit_starts_what_there_is() -> None:
    program, verb, *words = shlex.split(unit()["ExecStart"])
    assert (Path(program).name, verb) == ("llm-metrics-proxy", "serve")
    flags = {word for word in words if word.startswith("-")}
    assert flags <= {CONFIG_FLAG, *(row.flag for row in rows().values())}
    page = UNIT.read_text(encoding="utf-8")
    assert set(re.findall(rf"{ENV_PREFIX}[A-Z_]+", page)) <= {row.environment for row in rows().values()}
    assert set(re.findall(r"\b(\w+_(?:timeout_s|connections))\b", page)) <= rows().keys()


def test_the_unit_leaves_time_for_a_graceful_stop_and_has_files_enough() -> None:
    directives, settings = unit(), Settings()
    workers_s = settings.drain_timeout_s + options.KILL_GRACE_S
    assert int(directives["TimeoutStopSec"]) > workers_s + launch.LAST_INGESTION_S
    assert int(directives["LimitNOFILE"]) >= 2 * settings.max_connections + 64
    assert (directives["KillMode"], directives["Restart"]) == ("mixed", "always")


def test_the_units_page_names_settings_that_there_are(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "run-as-a-service.md").read_text(encoding="utf-8")
    example = re.search(r"config\.toml <<'END'\n(.*?)END\n", page, re.S)
    assert example is not None
    file = tmp_path / "config.toml"
    file.write_text(example[1])
    assert load({}, {}, file).settings.host == "0.0.0.0"
    assert f"{UNIT.name}" in page


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    """Where there is a systemd. It leaves with 0 when it does not know a directive, but it says so."""
    analyze = shutil.which("systemd-analyze", path=f"{os.environ.get('PATH', '')}:/usr/bin")
    known = [analyze, "verify"] if analyze else ["true"]
    program = Path(sys.executable).with_name("llm-metrics-proxy")
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", UNIT.read_text(encoding="utf-8")))
    done = subprocess.run([*known, copy], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
