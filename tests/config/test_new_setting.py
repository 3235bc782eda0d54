"""A new setting takes two places: its row, and the code that uses it. The rest is generated. Tried in a copy."""

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import llm_metrics_proxy

pytestmark = pytest.mark.system
SOURCE: Final = Path(llm_metrics_proxy.__file__).parent
ROW: Final = """\
    # --- Timeouts
    patience_s: Seconds = _timeouts(7.5, "Tried by a test.", ge=1, le=9, reload=True)
"""
# What the worker and the metrics process read from standard input, and the use of the setting there.
USE: Final = """
import msgspec, sys
from pathlib import Path
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.processes import reload
from llm_metrics_proxy.processes.launch import launch_plan, listen_for_clients, listen_for_readers
from llm_metrics_proxy.processes.launch import metrics_spec, worker_specs
from llm_metrics_proxy.processes.metrics_options import MetricsOptions
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.scoreboard import Scoreboard
from llm_metrics_proxy.supervisor import ReloadRequest

file = Path("file.toml")
file.write_text("port = 0\\nmetrics_port = 0\\nworkers = 1\\nbackend = 'http://h:1'\\npatience_s = 2.5\\n")
loaded = load({}, {}, file)
clients, readers, board = listen_for_clients(loaded.settings), listen_for_readers(loaded.settings), Scoreboard.create()
children = [*worker_specs(loaded, "http://h:1", clients, board), metrics_spec(loaded, readers, board)]
file.write_text(file.read_text().replace("2.5", "3.5"))
start = launch_plan(loaded, children, []).reload.start_json
request = ReloadRequest(start_json=start, options={child.name: child.options_json for child in children})
after = reload.read_again(request, {}).options
for child, kind in zip(children, (ProxyOptions, MetricsOptions)):
    for text in (child.options_json, after[child.name]):
        print(msgspec.json.decode(text, type=kind).patience_s)
"""


def python(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_row_is_all_that_both_processes_need_to_know_a_setting_and_its_changes(tmp_path: Path) -> None:
    package = tmp_path / "src" / SOURCE.name
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "site"))
    table = package / "config" / "settings.py"
    table.write_text(table.read_text().replace("    # --- Timeouts\n", ROW))
    python(tmp_path, "-m", "llm_metrics_proxy.config.table", "settings.md")
    assert "| `patience_s` | `--patience-s` | `LLM_METRICS_PROXY_PATIENCE_S` | 7.5 | s |" in (
        tmp_path / "settings.md"
    ).read_text(encoding="utf-8")
    assert python(tmp_path, "-c", USE).split() == ["2.5", "3.5"] * 2
    ours = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    changed = [str(path) for path in ours if not filecmp.cmp(SOURCE / path, package / path, shallow=False)]
    assert changed == ["config/settings.py", "config/values.py"]  # the second is generated
