"""What ``docs/topics/migrations.md`` says is so: reasons, verbs and flags, readings of timestamps, files it names."""

import re
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.sqlite_schema import LAST_LEGACY_SCHEMA, LEGACY_NEEDS, LEGACY_NEEDS_ONE_OF
from tests.migration.databases import content, execute, make, options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "topics" / "migrations.md").read_text()


def test_every_reason_is_explained_in_the_words_of_its_migration() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|$", PAGE, re.M))
    assert rows == {gap.code: gap.meaning for migration in MIGRATIONS for gap in migration.gaps}


def test_every_verb_and_flag_of_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^llm-metrics-proxy ((?:migrate|backup) [a-z]+|serve)(.*?)(?: +#.*)?$", PAGE, re.M)
    assert len(commands) >= 14
    for verb, flags in commands:
        assert run([*verb.split(), "--help"]) == 0
        told = capsys.readouterr().out
        for flag in re.findall(r"--[a-z-]+", flags):
            assert flag in told, f"{verb} {flag}"


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:migration|storage|system)/[\w/]+(?:\.py|/))`", PAGE))
    assert len(named) >= 10
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []


def test_an_older_file_is_known_by_what_the_page_says() -> None:
    for name in (*LEGACY_NEEDS, *LEGACY_NEEDS_ONE_OF):
        assert f"`{name}`" in PAGE
    assert f"`schema_version` above {LAST_LEGACY_SCHEMA}" in " ".join(PAGE.split())


def test_the_older_table_by_hand_has_every_value_as_it_was(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 200)
    (script,) = re.findall(r"^Make a file with the older table.+?^```sql\n(.+?)^```", PAGE, re.M | re.S)
    before = content(path)
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert result.run is not None
    assert (result.ended, result.run.old_table) == (Ended.DONE, "completion_requests_before_5_0_0")
    older = tmp_path / "older.db"
    execute(path, script.replace("'older.db'", f"'{older}'"))
    assert content(older) == before


def test_timestamps_are_read_as_the_page_says() -> None:
    for zone in re.findall(r"`(Z|UTC|[+-]\d\d:?\d*)`", PAGE):
        hour = "08" if "2" in zone else "10"
        assert normalise(f"2025-03-01 10:00:00{zone}") == f"2025-03-01T{hour}:00:00.000000Z"
    assert normalise("2025-03-01T10:00") == "2025-03-01T10:00:00.000000Z", "no zone: UTC; missing seconds are 0"
    assert normalise("2025-03-01T10:00:00.1234567") == "2025-03-01T10:00:00.123456Z"
    assert normalise("2025-03-01") == "2025-03-01T00:00:00.000000Z"
    for other in ("yesterday", "2025-02-30", 1740823200, b"2025-03-01", None):
        assert normalise(other) == other
