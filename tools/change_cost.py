"""``python -m tools.change_cost``: how many files each kind of change touches.

Each section of ``docs/howto/extend.md`` is a change. Its blocks are applied to a copy of the sources, what is generated
is renewed, and its proof (``tools/proofs``, named like the section) runs there. The exit code is 1 if a change does not
work, or touches more files than its section allows.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tools.guide import Edit, applied, edits

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "howto" / "extend.md"
_SECTION: Final = re.compile(r"^## (?P<name>[^\n]+)\n\n<!-- at most (?P<most>\d+) files? -->\n", re.MULTILINE)
_COPIED: Final = ("src", "tools", "docs", "dashboard", "contrib")
_LEFT_OUT: Final = shutil.ignore_patterns("node_modules", "__pycache__", "site")
_GENERATORS: Final = (
    ("tools.write_docs",),
    ("llm_metrics_proxy.config.table",),
    ("tools.openapi", "dashboard/openapi.json"),
    ("tools.dashboard_columns", "dashboard/src/api/columns.ts"),
)
_PATIENCE_S: Final = 300


class Change(NamedTuple):
    """One section: how many files it may touch, and its edits."""

    name: str
    most_files: int
    edits: tuple[Edit, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Those that a person edits."""
        return tuple(dict.fromkeys(edit.file for edit in self.edits))

    @property
    def proof(self) -> str:
        """The module that shows that it works."""
        return "tools.proofs." + self.name.lower().replace(" ", "_")


def changes(page: str) -> list[Change]:
    """Every section that states its cost, in order."""
    found = list(_SECTION.finditer(page))
    ends = [section.start() for section in found[1:]] + [len(page)]
    return [
        Change(section["name"], int(section["most"]), tuple(edits(page[section.end() : end])))
        for section, end in zip(found, ends, strict=True)
    ]


def try_out(change: Change, folder: Path) -> str:
    """Make the change in a copy of the sources in ``folder``, and run its proof: the fault, or nothing."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    for edit in change.edits:
        path = folder / edit.file
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            path.write_text(applied(text, edit), encoding="utf-8")
        except ValueError as error:
            return str(error)
    for module in (*_GENERATORS, (change.proof,)):
        fault = _run(folder, *module)
        if fault:
            return f"{module[0]}: {fault}"
    return ""


def _run(folder: Path, *module: str) -> str:
    own = {"PYTHONPATH": f"{folder / 'src'}:{folder}", "NODE_MODULES": str(ROOT / "dashboard" / "node_modules")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LLM_METRICS_PROXY_")}
    ran = subprocess.run(
        [sys.executable, "-m", *module], cwd=folder, env={**environment, **own}, timeout=_PATIENCE_S,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if ran.returncode == 0 else (ran.stderr or ran.stdout).strip() or f"ended with {ran.returncode}"


def measured() -> Iterator[tuple[Change, str]]:
    """Every change with its fault, each in a copy of its own."""
    for change in changes(PAGE.read_text(encoding="utf-8")):
        with tempfile.TemporaryDirectory() as folder:
            yield change, try_out(change, Path(folder))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.change_cost", description="Files that each change touches.")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    as_json = parser.parse_args(arguments).json
    found = []
    for change, fault in measured():
        found.append((change, fault))
        if not as_json:
            sys.stdout.write(
                f"{change.name:18} {len(change.files)} of {change.most_files}  {', '.join(change.files)}\n"
            )
            sys.stdout.write(f"  {fault}\n" if fault else "")
    if as_json:
        shown = [{"change": c.name, "files": c.files, "at_most": c.most_files, "fault": fault} for c, fault in found]
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    return int(any(fault or len(change.files) > change.most_files for change, fault in found))


if __name__ == "__main__":
    sys.exit(main())
