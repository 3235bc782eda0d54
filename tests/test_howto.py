"""docs/howto/add-a-version.md, followed to the letter in a copy of the sources: its version 99.0.0 has to work."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest
from tools import fingerprint
from tools.guide import Edit, applied, blocks, edits

from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.checkout import ROOT, Checkout, check_out
from tests.migration.databases import content, execute

pytestmark = pytest.mark.system

GUIDE: Final = ROOT / "docs" / "howto" / "add-a-version.md"
VERSION: Final = "99.0.0"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    made = check_out(tmp_path_factory.mktemp("howto") / "copy")
    _release(made.folder)
    made.apply(edits(GUIDE.read_text(encoding="utf-8")))
    yield made
    shutil.rmtree(made.folder)


def _release(folder: Path) -> None:
    """The version before has to be frozen when the next one begins, and may still be in the making here."""
    frozen = {**fingerprint.released(), APP_VERSION: fingerprint.present(APP_VERSION)}
    (folder / fingerprint.STORED.relative_to(ROOT)).write_bytes(msgspec.json.encode(frozen))


def test_the_guide_s_blocks_fit_the_sources_and_the_house_style(copy: Checkout) -> None:
    python = sorted({edit.file for edit in edits(GUIDE.read_text()) if edit.file.endswith(".py")})
    assert len(python) == 4
    ruff = str(Path(sys.executable).with_name("ruff"))
    copy.run(ruff, "check", "--no-cache", *python)
    copy.run(ruff, "format", "--no-cache", "--check", *python)
    assert copy.python("-c", "from llm_metrics_proxy.metrics_service import *; print(APP_VERSION)").strip() == VERSION


def test_every_block_says_in_plain_words_where_it_goes() -> None:
    for edit in edits(GUIDE.read_text(encoding="utf-8")):
        section = edit.prose[edit.prose.rindex("\n### ") :]
        assert f"`{edit.file}`" in section, f"a block for {edit.file} stands where the text does not name that file"
        assert (ROOT / edit.file).exists()


def test_following_the_guide_migrates_an_old_database_and_brings_it_back(copy: Checkout) -> None:
    try_it, go_back, _ship = blocks(GUIDE.read_text(encoding="utf-8"))
    database, golden = copy.folder / "data" / "try" / "metrics.db", fingerprint.GOLDEN / "1.0.0.db"
    names = [name for (name,) in execute(golden, "SELECT name FROM pragma_table_info('completion_requests')")]
    said = copy.run("sh", "-euc", try_it)
    assert VERSION in said
    example = "app_version, tokens_per_second, completion_tokens, response_time_ms, recompute_reason"
    migrated = execute(database, f"SELECT {example} FROM completion_requests")
    assert len(migrated) == 40
    for stamp, rate, tokens, duration_ms, reason in migrated:
        assert stamp == VERSION
        wanted = (None, "no_completion_tokens_or_time") if tokens is None else (tokens * 1000 / duration_ms, None)
        assert (rate, reason) == wanted
    copy.run("sh", "-euc", go_back)
    assert content(database, names) == content(golden, names)


_EVERY_GOLDEN: Final = """
import shutil, sys
from pathlib import Path
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.safe_migrations import MIGRATIONS
folder = Path(sys.argv[2])
for golden in sorted(Path(sys.argv[1]).glob("*.db")):
    copy = folder / golden.name
    shutil.copyfile(golden, copy)
    options = engine.Options(backup_dir=folder / "backups")
    for _turn in range(2):
        result = engine.migrate(copy, options, migrations=MIGRATIONS)
        assert (result.ended, result.run.to_version, result.faults) == ("done", "99.0.0", ()), (golden, result)
        assert engine.verify(copy, migrations=MIGRATIONS) == (), golden
        assert engine.migrate(copy, options, migrations=MIGRATIONS).ended == "nothing_to_do", golden
        assert engine.undo(copy, options, migrations=MIGRATIONS).ended == "undone", golden
    print(golden.name)
"""


def test_every_golden_database_reaches_the_new_version_and_comes_back(copy: Checkout, tmp_path: Path) -> None:
    done = copy.python("-c", _EVERY_GOLDEN, str(fingerprint.GOLDEN), str(tmp_path)).split()
    assert done == sorted(path.name for path in fingerprint.GOLDEN.glob("*.db"))
    for name in done:
        assert content(tmp_path / name) == content(fingerprint.GOLDEN / name)


@pytest.mark.system
def test_the_version_passes_every_check_once_it_has_its_golden_database(copy: Checkout) -> None:
    *_, ship = blocks(GUIDE.read_text(encoding="utf-8"))
    golden, check = ship.splitlines()
    assert (golden, check) == ("make golden", "make check")
    copy.run("make", "golden")
    assert (copy.folder / "tests" / "fixtures" / "databases" / f"{VERSION}.db").exists()
    copy.python("-m", "tools.write_docs")
    # what `make check` says of versions; its other parts know nothing of them
    checks = ["tests/architecture/test_discipline.py", "tests/architecture/test_docs.py"]
    copy.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *checks, "-k", "not download_from")


@pytest.mark.parametrize("where", ["replace", "before"])
def test_a_place_that_is_not_there_or_not_one_only_is_an_error(where: str) -> None:
    for pattern in ("^nothing$", "^twice$"):
        with pytest.raises(ValueError, match=f"x.py has [02] places like {re.escape(pattern)}"):
            applied("twice\ntwice\n", Edit("x.py", where, pattern, "new\n", ""))


def test_a_block_goes_where_its_mark_says() -> None:
    text = "a\nb\nb\n"
    assert applied(text, Edit("x", "replace", "^a$", "new\n", "")) == "new\nb\nb\n"
    assert applied(text, Edit("x", "before", "^a$", "new\n", "")) == "new\na\nb\nb\n"
    assert applied(text, Edit("x", "before the first", "^b$", "new\n", "")) == "a\nnew\nb\nb\n"
    assert applied(text, Edit("x", "at the end", "", "new\n", "")) == "a\nb\nb\nnew\n"
