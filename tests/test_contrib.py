"""What stands in contrib/ is what the sources give. That it works is shown in tests/real_server/test_prometheus.py."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tools import make_dashboard

from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.config.settings import ENV_PREFIX, Settings
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import CONFIG_FLAG, rows
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.processes import launch
from tests.api.test_prometheus import health

ROOT: Final = Path(__file__).parents[1]
UNIT: Final = ROOT / "contrib" / "llm-metrics-proxy.service"


def test_the_dashboard_is_what_its_table_gives() -> None:
    found = make_dashboard.FILE.read_text(encoding="utf-8")
    assert found == make_dashboard.text(), "run: python -m tools.make_dashboard"


def test_dashboard_and_rules_name_only_metrics_that_there_are() -> None:
    body, _ = Exposition(CounterBook()).render(health(), "")
    there = set(re.findall(r"^# TYPE (\S+)", body.decode(), re.M))
    for file in (make_dashboard.FILE, make_dashboard.FILE.with_name("prometheus-alerts.yml")):
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
    workers_s = settings.drain_timeout_s + launch.KILL_GRACE_S
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
