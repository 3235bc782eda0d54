"""A copy of the checkout in which a page of docs/howto is followed: its blocks applied, its commands run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tools.guide import Edit, applied

ROOT: Final = Path(__file__).parents[1]
_SKIP: Final = shutil.ignore_patterns("__pycache__", ".cache", "*.pyc")


class Checkout(NamedTuple):
    """The copy."""

    folder: Path

    def run(self, *command: str) -> str:
        """What a command of the copy says on standard output; it must end well."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_METRICS_PROXY_")}
        result = subprocess.run(
            command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
        return result.stdout

    def python(self, *arguments: str) -> str:
        """With the copy's package instead of ours."""
        return self.run(".venv/bin/python", *arguments)

    def apply(self, edits: Iterable[Edit]) -> None:
        """Make the edits of a page."""
        for edit in edits:
            path = self.folder / edit.file
            path.write_text(applied(path.read_text(encoding="utf-8"), edit), encoding="utf-8")


def check_out(folder: Path) -> Checkout:
    """Copy the sources to ``folder``, with a ``.venv`` as `make` would leave it: our Python, the copy's package."""
    for name in ("src", "tests", "tools", "docs", "contrib", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=_SKIP)
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*.lock"), ROOT / "Makefile", ROOT / "pyproject.toml"):
        shutil.copy(path, folder)
    binaries = folder / ".venv" / "bin"
    binaries.mkdir(parents=True)
    program = 'exec "$0.python" -c "from llm_metrics_proxy.cli import main; main()" "$@"'
    source = f'export PYTHONPATH="{folder / "src"}"'
    for name, line in (("python", f'exec "{sys.executable}" "$@"'), ("llm-metrics-proxy", program)):
        script = binaries / name
        script.write_text(f"#!/bin/sh\n{source}\n{line.replace('$0.python', sys.executable)}\n")
        script.chmod(0o755)
    for stamp in (".installed", ".installed-dev"):
        (folder / ".venv" / stamp).touch()
    return Checkout(folder)
