"""Where a release comes from: an in-toto statement with SLSA's provenance, version 1, of every file in its folder.

It names the commit, the locks by their digests, and the command, and has nothing of the machine and of the hour, so
whoever builds the same commit gets the same statement. It is not signed: its worth is that it can be repeated.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD: Final = "urn:llm-metrics-proxy:make-release:1"
LOCKS: Final = (
    "requirements.lock",
    "requirements-release.lock",
    "requirements-node.lock",
    "dashboard/package-lock.json",
)


def sha256(file: Path) -> str:
    """Of what it holds, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def statement(files: Iterable[Path], *, sources: Path, commit: str, epoch: int) -> dict[str, Any]:
    """About ``files``, made from ``sources``, which are those of ``commit``."""
    locks = [{"name": name, "digest": {"sha256": sha256(sources / name)}} for name in LOCKS]
    return {
        "_type": STATEMENT,
        "subject": [
            {"name": file.name, "digest": {"sha256": sha256(file)}} for file in sorted(files, key=lambda one: one.name)
        ],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"command": "make release", "commit": commit},
                "internalParameters": {"SOURCE_DATE_EPOCH": epoch},
                "resolvedDependencies": [{"name": "source", "digest": {"gitCommit": commit}}, *locks],
            },
            "runDetails": {"builder": {"id": "make release"}},
        },
    }


def checksums(files: Iterable[Path]) -> str:
    """As `sha256sum --check` reads them."""
    return "".join(f"{sha256(file)}  {file.name}\n" for file in sorted(files, key=lambda one: one.name))


def written(value: dict[str, Any]) -> str:
    """The statement as text, always the same for the same value."""
    return json.dumps(value, indent=2, sort_keys=True) + "\n"
