"""numpy costs 17 MB and a tenth of a second; workers, which there may be many of, and most verbs never import it."""

import subprocess
import sys

import pytest


@pytest.mark.system
@pytest.mark.parametrize(
    "module",
    [
        "proxy.worker",
        "proxy.fleet",
        "supervisor",
        "cli.serve",
        "cli.app; llm_metrics_proxy.cli.app.application()",
        "config.settings",
        "storage.sqlite",
    ],
)
def test_who_does_not_read_roll_ups_does_not_import_numpy(module: str) -> None:
    code = f"import sys, llm_metrics_proxy.{module}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
