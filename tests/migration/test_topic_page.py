"""What ``docs/topics/migrations.md`` says is so: reasons, verbs and flags, readings of timestamps, files it names."""

import re
from pathlib import Path

import pytest

from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.record import DERIVED, KEPT, PRICED
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


def test_the_undo_by_hand_puts_every_value_back_and_is_left_alone(tmp_path: Path) -> None:
    in_one_piece = "time_to_first_token_ms = response_time_ms, time_to_last_token_ms = response_time_ms"
    some = f"UPDATE completion_requests SET is_streaming = id % 2, {in_one_piece} WHERE id % 5 <> 0"
    path = make(tmp_path / "metrics.db", 200, script=some)
    (script,) = re.findall(r"^Undo run 1 without.+?^```sql\n(.+?)^```", PAGE, re.M | re.S)
    names = [name for (name,) in execute(path, "SELECT name FROM pragma_table_info('completion_requests')")]
    before = content(path, names)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert content(path, names) != before
    execute(path, script)
    assert content(path, names) == before
    added = [column.name for column in (*DERIVED, *PRICED, *KEPT) if column.name not in names]
    for name in (*added, "outcome"):
        assert execute(path, f"SELECT count({name}) FROM completion_requests") == [(0,)], name
    assert execute(path, "SELECT name FROM sqlite_schema WHERE name GLOB 'migration_undo_*'") == []
    assert engine.migrate(path, options(path, automatic=True), migrations=MIGRATIONS).ended is Ended.HELD
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    assert engine.verify(path, migrations=MIGRATIONS) == ()


def test_timestamps_are_read_as_the_page_says() -> None:
    for zone in re.findall(r"`(Z|UTC|[+-]\d\d:?\d*)`", PAGE):
        hour = "08" if "2" in zone else "10"
        assert normalise(f"2025-03-01 10:00:00{zone}") == f"2025-03-01T{hour}:00:00.000000Z"
    assert normalise("2025-03-01T10:00") == "2025-03-01T10:00:00.000000Z", "no zone: UTC; missing seconds are 0"
    assert normalise("2025-03-01T10:00:00.1234567") == "2025-03-01T10:00:00.123456Z"
    assert normalise("2025-03-01") == "2025-03-01T00:00:00.000000Z"
    for other in ("yesterday", "2025-02-30", 1740823200, b"2025-03-01", None):
        assert normalise(other) == other
