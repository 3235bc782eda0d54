"""Each process gets whole files, the long ones first, whoever runs the tests."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sharing import share_of

_ROOT = Path(__file__).parents[1]
_TESTS = {
    "test_a.py": "def test_quick():\n    pass\n\n\ndef test_quick_too():\n    pass\n",
    "test_b.py": "def test_last():\n    pass\n",
    "test_c.py": "import pytest\n\n\ndef test_first():\n    pass\n\n\n@pytest.mark.system\ndef test_all():\n    ...\n",
}


def test_the_files_that_share_a_server_are_one_share_and_others_are_one_each() -> None:
    folder = "tests/real_server"
    shares = [share_of(f"{folder}/test_{name}.py::test_x[a::b]") for name in ("litellm", "other_clients", "prometheus")]
    assert shares == [shares[0], shares[0], f"{folder}/test_prometheus.py"]
    for name in ("litellm", "other_clients"):
        assert (_ROOT / folder / f"test_{name}.py").exists()


@pytest.mark.system
def test_every_test_runs_once_a_file_in_one_process_and_the_long_ones_first(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for name, text in _TESTS.items():
        (tmp_path / "tests" / name).write_text(text)
    for name in ("conftest.py", "sharing.py", "examples.py", "__init__.py"):
        shutil.copy(_ROOT / "tests" / name, tmp_path / "tests")
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    command = ["-m", "pytest", "-v", "--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder", "tests"]
    out = subprocess.run([sys.executable, *command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    ran = re.findall(r"\[(gw\d)\] .* PASSED tests/(test_\w)\.py::(\w+)", out)
    assert sorted(name for *_, name in ran) == ["test_all", "test_first", "test_last", "test_quick", "test_quick_too"]
    processes = [{process for process, file, _ in ran if file == each} for each in ("test_a", "test_b", "test_c")]
    assert [len(each) for each in processes] == [1, 1, 1]
    order = [file for process, file, _ in ran if {process} == processes[2]]
    assert order[:2] == ["test_c"] * 2
