import subprocess
import sys

import pytest

from llm_metrics_proxy.export import FORMATS


def test_there_are_three_formats_and_their_names_are_the_ends_of_files() -> None:
    assert {name: one.is_text for name, one in FORMATS.items()} == {"jsonl": True, "csv": True, "parquet": False}


@pytest.mark.system
def test_pyarrow_is_loaded_only_when_somebody_asks_for_parquet() -> None:
    code = """
import sys
import llm_metrics_proxy.api, llm_metrics_proxy.processes.metrics_process
from llm_metrics_proxy.cli.app import application
application()
from llm_metrics_proxy.export import FORMATS
FORMATS["csv"].encoder(["arrival"]), FORMATS["jsonl"].encoder(["arrival"])
assert "pyarrow" not in sys.modules
FORMATS["parquet"].encoder(["arrival"])
assert "pyarrow" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
