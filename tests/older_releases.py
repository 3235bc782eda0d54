"""Released versions of this program, run from their own source: the commit that added their golden database has it.

They run with the packages of today. A checkout without that history (an archive, a shallow clone) has none.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
DATABASES: Final = ROOT / "tests" / "fixtures" / "databases"
_PROGRAM: Final = "import sys; from llm_metrics_proxy.cli import main; sys.argv[0] = 'llm-metrics-proxy'; main()"
_VERSION_FILE: Final = "src/llm_metrics_proxy/metrics_service.py"
_PATIENCE_S: Final = 60.0


class ReleaseMissingError(Exception):
    """The history of this checkout does not have the release."""


class Answer(NamedTuple):
    """How one verb of a release ended."""

    exit_code: int
    out: str
    err: str


class Release:
    """One release, unpacked into ``folder``. Raises ``ReleaseMissingError``."""

    def __init__(self, version: str, folder: Path) -> None:
        self.version = version
        packed = _git("archive", "--format=tar", commit_of(version), "src")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        self._source = folder / "src"

    def run(self, *arguments: str | Path) -> Answer:
        """One verb, to its end."""
        environment = {**os.environ, "PYTHONPATH": str(self._source), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    def records(self, database: Path) -> list[dict[str, Any]]:
        """What ``requests`` shows of every record, the newest first."""
        answer = self.run("requests", "--db-path", database, "--limit", "1000", "--json")
        assert answer.exit_code == 0, answer
        return [json.loads(line) for line in answer.out.splitlines()]

    def summary(self, database: Path) -> dict[str, Any]:
        """What ``summary`` says of all records."""
        answer = self.run("summary", "--db-path", database, "--json")
        assert answer.exit_code == 0, answer
        found: dict[str, Any] = json.loads(answer.out)
        return found


@cache
def commit_of(version: str) -> str:
    """The commit that added the release's golden database, or its parent where the next version had begun by then.

    Raises ``ReleaseMissingError``.
    """
    golden = (DATABASES / f"{version}.db").relative_to(ROOT).as_posix()
    added = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", golden).decode().strip()
    if not added:
        raise ReleaseMissingError(f"the history here does not have the commit that added {golden}")
    for commit in (added, f"{added}^"):
        if f'APP_VERSION: Final = "{version}"' in _git("show", f"{commit}:{_VERSION_FILE}").decode():
            return commit
    raise ReleaseMissingError(f"neither the commit that added {golden} nor its parent is version {version}")


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ReleaseMissingError(f"git {arguments[0]} failed here: {error}") from error
