"""Writes ``release.json`` of the package, from which other versions read what this one changes:
``python -m tools.release_facts``."""

import re
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.versions import VERSION_HISTORY
from llm_metrics_proxy.config.table import rows, table_rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes.release import (
    FILE,
    NumberNote,
    ReleasedMigration,
    ReleasedSetting,
    ReleaseFacts,
    ReleaseNote,
)
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite_schema import known_steps

ROOT: Final = Path(__file__).parents[1]
_HEAD: Final = re.compile(r"^## (\d+\.\d+\.\d+)", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def bullets(text: str, title: str) -> tuple[str, ...]:
    """The points of a section ``**title**`` of one version, each in one line and without links."""
    found = re.search(rf"^\*\*{title}\*\*\n(.*?)(?=^\*\*|\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return ()
    points = re.split(r"^- ", found[1], flags=re.MULTILINE)[1:]
    return tuple(re.sub(r"\s+", " ", _LINK.sub(r"\1", point)).strip() for point in points)


def notes(changelog: str) -> tuple[ReleaseNote, ...]:
    """Every version of the changelog, newest first, with what changed and what is gone."""
    parts = _HEAD.split(changelog)[1:]
    return tuple(
        ReleaseNote(version=version, changed=bullets(text, "Changed"), removed=bullets(text, "Removed"))
        for version, text in zip(parts[::2], parts[1::2], strict=True)
    )


def facts() -> ReleaseFacts:
    """Those of the sources as they are."""
    settings = [
        ReleasedSetting(name=name, default=row.default, allowed=row.allowed)
        for table in ("", *TOML_TABLES)
        for name, row in (
            ((key, each) for key, each in rows().items())
            if not table
            else ((f"{table}.{key}", each) for key, each in table_rows(table).items())
        )
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return ReleaseFacts(
        version=APP_VERSION,
        requires_python=project["requires-python"],
        migrations=tuple(ReleasedMigration(version=each.version, summary=each.summary) for each in MIGRATIONS),
        schema_steps=tuple(known_steps()),
        settings=tuple(settings),
        notes=notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        numbers=tuple(
            NumberNote(version=note.version, breaking=note.breaking_changes)
            for note in VERSION_HISTORY
            if note.breaking_changes
        ),
    )


def content() -> bytes:
    """What the file has to hold."""
    return msgspec.json.format(msgspec.json.encode(facts()), indent=1) + b"\n"


def main() -> None:
    """Write it."""
    FILE.write_bytes(content())


if __name__ == "__main__":
    main()
