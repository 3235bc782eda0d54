"""Answers as tables, in an interpreter that cannot import what makes them."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from importlib import metadata

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LACKING:
            raise ModuleNotFoundError(f"No module named {name!r}")

found = metadata.version
def version(name):
    if name in LACKING:
        raise metadata.PackageNotFoundError(name)
    return found(name)

LACKING = sys.argv[1].split(",")
metadata.version = version
sys.meta_path.insert(0, Missing())
from llm_metrics_proxy.client import ExportedRecords, MissingExtraError, RecordPage
for table in (RecordPage(app_version="1", items=[], next_cursor=None), ExportedRecords(b"")):
    try:
        getattr(table, sys.argv[2])()
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("lacking", "way", "words"),
    [
        *(("pyarrow", way, "pip install 'llm-metrics-proxy[parquet]'") for way in ("to_arrow", "to_polars")),
        ("pyarrow", "to_pandas", "pip install 'llm-metrics-proxy[parquet]'"),
        ("pandas,pyarrow", "to_pandas", "pandas is not installed: pip install pandas"),
        ("polars", "to_polars", "Polars is not installed: pip install polars"),
    ],
)
def test_a_table_says_what_to_install(lacking: str, way: str, words: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, lacking, way], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout.splitlines()
    assert len(told) == 2
    assert all(words in line for line in told)
