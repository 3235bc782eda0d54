"""``upgrade-check``: a wheel, or this version, held against a real database and real settings; nothing is changed."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from msgspec import json as msgspec_json
from msgspec.structs import replace
from tools import release_facts
from tools.fingerprint import GOLDEN

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.processes import release
from llm_metrics_proxy.processes.release import NumberNote, ReleasedMigration, ReleasedSetting, ReleaseNote
from tests.cli.conftest import Cli
from tests.migration.databases import content

OURS = release.of_this_program()


def wheel(folder: Path, **changes: Any) -> str:
    """One of a version 99.0.0 with other facts; it holds nothing that could run."""
    path = folder / "llm_metrics_proxy-99.0.0-py3-none-any.whl"
    facts = replace(OURS, **{"version": "99.0.0", **changes})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_metrics_proxy/release.json", msgspec_json.encode(facts))
    return str(path)


@pytest.fixture
def old_database(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    shutil.copyfile(GOLDEN / "4.3.0.db", path)
    return path


def test_the_facts_that_the_package_brings_are_those_of_the_sources() -> None:
    assert release.FILE.read_bytes() == release_facts.content(), "run: .venv/bin/python -m tools.release_facts"


def test_the_changelog_is_read_point_by_point() -> None:
    newest = "## 2.0.0 (x)\n\n**Changed**\n\n- One\n  two ([docs](a.md)).\n- Three.\n\n**Fixed**\n\n- No.\n"
    text = f"# C\n\n{newest}\n## 1.0.0\n"
    assert release_facts.notes(text) == (
        ReleaseNote(version="2.0.0", changed=("One two (docs).", "Three.")),
        ReleaseNote(version="1.0.0"),
    )
    known = {note.version: note for note in OURS.notes}
    assert len(known["5.0.0"].changed) > 10


def test_a_wheel_whose_facts_are_nested_without_end_is_refused(cli: Cli, old_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "deep.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_metrics_proxy/release.json", "[" * 100_000)
    ran = cli("upgrade-check", str(path), "--db-path", str(old_database))
    assert ran.code == 1
    assert "deep.whl does not hold what it should: " in ran.err


def test_without_a_wheel_this_version_is_held_against_the_database(cli: Cli, old_database: Path) -> None:
    before = content(old_database)
    ran = cli("upgrade-check", "--db-path", str(old_database), "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["since"], found["to_version"], found["obstacles"]) == ("4.3.0", APP_VERSION, [])
    assert found["migration"]["versions"] == ["5.0.0"]
    assert found["migration"]["records"] == 41
    assert found["migration"]["seconds"] > 0
    assert found["migration"]["disk"]["backup_bytes"] > 0
    assert [note["version"] for note in found["numbers"]] == ["5.0.0"]
    assert content(old_database) == before


def test_a_wheel_s_migration_is_planned_by_rows_time_and_disk(cli: Cli, old_database: Path, tmp_path: Path) -> None:
    newer = wheel(
        tmp_path,
        migrations=(*OURS.migrations, ReleasedMigration(version="99.0.0", summary="Everything is counted in dozens.")),
        notes=(ReleaseNote(version="99.0.0", changed=("Dozens.",), removed=("The tens.",)), *OURS.notes),
        numbers=(*OURS.numbers, NumberNote(version="99.0.0", breaking=("tokens are dozens",))),
        schema_steps=(*OURS.schema_steps, "99 dozens"),
    )
    ran = cli("upgrade-check", newer, "--db-path", str(old_database))
    assert ran.code == 0, ran.err
    for words in (
        f"From {APP_VERSION} to 99.0.0, looked at by {APP_VERSION}; nothing was changed.",
        "41 records are carried over, while requests are served: 5.0.0: ",
        "99.0.0: Everything is counted in dozens.",
        "there is room",
        "the database gets 1 schema steps at its first start: 99 dozens",
        "99.0.0: The tens.\n  • 99.0.0: Dozens.",
        "99.0.0: tokens are dozens",
        "Nothing is in the way.",
    ):
        assert words in ran.out
    assert "4.4.0:" not in ran.out, "what this version changed is not news"


def test_settings_that_are_gone_are_in_the_way_only_if_they_are_given_here(cli: Cli, tmp_path: Path) -> None:
    settings = [
        each for each in OURS.settings if each.name not in {"idle_timeout_s", "backends.models", "watch_interval_s"}
    ]
    settings += [ReleasedSetting(name="upstream_idle_timeout_s", default="1", allowed="a number")]
    settings = [replace(each, default="7") if each.name == "port" else each for each in settings]
    newer = wheel(tmp_path, settings=tuple(settings))
    (tmp_path / "c.toml").write_text('idle_timeout_s = 5\n[[backends]]\nname = "a"\nurl = "http://h"\nmodels = ["m"]\n')
    ran = cli("upgrade-check", newer, "--config", "c.toml", "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert found["settings"] == {
        "gone_in_use": {"idle_timeout_s": "upstream_idle_timeout_s", "backends.models": None},
        "gone": ["watch_interval_s"],
        "new": ["upstream_idle_timeout_s"],
        "defaults": {"port": ["8001", "7"]},
    }
    first, second = found["obstacles"]
    unknown = "is not known to 99.0.0 any more"
    assert first.startswith(f"the setting idle_timeout_s (c.toml line 1, key idle_timeout_s) {unknown}: ")
    assert first.endswith(": it may be upstream_idle_timeout_s now")
    assert second == f"the setting backends.models (c.toml line 2, key backends) {unknown}: take it away"


def test_python_that_is_too_old_and_records_that_are_too_new_are_in_the_way(cli: Cli, tmp_path: Path) -> None:
    shutil.copyfile(GOLDEN / "5.0.0.db", tmp_path / "new.db")
    older = wheel(tmp_path, version="4.0.0", requires_python=">=9.9", migrations=OURS.migrations[:3])
    ran = cli("upgrade-check", older, "--db-path", "new.db")
    assert ran.code == 1
    assert "runs this; 4.0.0 needs >=9.9" in ran.out
    assert "has records of version 5.0.0; this is 4.0.0" in ran.out


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("no zip"), "is no wheel"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "does not say what it changes"),
    ],
)
def test_what_is_no_wheel_of_ours_is_refused_with_words(cli: Cli, tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "x.whl")
    ran = cli("upgrade-check", "x.whl")
    assert ran.code == 1
    assert words in ran.err


def test_facts_of_a_form_that_comes_later_are_refused_with_words(cli: Cli, tmp_path: Path) -> None:
    ran = cli("upgrade-check", wheel(tmp_path, format=2))
    assert ran.code == 1
    assert "of a version that this one cannot read" in ran.err
