"""Whether a copy is page by page what a database holds: every page counts, and every byte of it."""

import threading
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.storage.same_pages import same_pages

FILL = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, value); CREATE INDEX i ON t (value); "
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
    "INSERT INTO t SELECT i, hex(i * 7919) || 'text' FROM n; DELETE FROM t WHERE id BETWEEN 500 AND 900;"
)


def pair(folder: Path, *pragmas: str) -> tuple[apsw.Connection, Path]:
    """A database with a snapshot open, and a copy of it as a backup makes one."""
    source = apsw.Connection(str(folder / "a.db"))
    for pragma in pragmas:
        source.execute(f"PRAGMA {pragma}")
    source.execute(FILL)
    source.execute("BEGIN; SELECT count(*) FROM t")
    copy = apsw.Connection(str(folder / "copy.db"))
    with copy.backup("main", source, "main") as copying:
        copying.step()
    copy.execute("PRAGMA journal_mode = DELETE")
    copy.close()
    return source, folder / "copy.db"


def same(source: apsw.Connection, copy: Path) -> bool:
    return same_pages(source, copy, threading.Event())


@pytest.mark.parametrize(
    "pragma", ["page_size = 512", "page_size = 65536", "journal_mode = WAL", "auto_vacuum = 1", "encoding = 'UTF-16'"]
)
def test_a_backup_of_any_kind_of_database_has_its_pages(tmp_path: Path, pragma: str) -> None:
    assert same(*pair(tmp_path, pragma))


def test_what_is_only_in_the_log_is_compared_too(tmp_path: Path) -> None:
    source, copy = pair(tmp_path, "journal_mode = WAL", "wal_autocheckpoint = 0")
    assert same(source, copy)
    source.execute("COMMIT; UPDATE t SET value = 'other' WHERE id = 7; BEGIN; SELECT count(*) FROM t")
    assert not same(source, copy)


def test_a_snapshot_is_compared_as_it_was_when_it_was_opened(tmp_path: Path) -> None:
    source, copy = pair(tmp_path, "journal_mode = WAL")
    other = apsw.Connection(str(tmp_path / "a.db"))
    other.execute("UPDATE t SET value = 'newer'")
    assert same(source, copy)
    other.close()


def test_a_single_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    """Everywhere but in what the header of each file has of its own."""
    source, copy = pair(tmp_path)
    whole = copy.read_bytes()
    own = {18, 19, *range(24, 28), *range(40, 44), *range(92, 100)}
    places = [*range(16, 110), *range(4000, len(whole), 997), len(whole) - 1]
    unnoticed = []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1
        copy.write_bytes(changed)
        if same(source, copy):
            unnoticed.append(place)
    assert set(unnoticed) == own


@pytest.mark.parametrize("change", ["cut", "longer", "empty", "exchanged"])
def test_pages_that_lack_or_stand_elsewhere_are_noticed(tmp_path: Path, change: str) -> None:
    source, copy = pair(tmp_path)
    whole = copy.read_bytes()
    first, second = whole[4096:8192], whole[8192:12288]
    copy.write_bytes(
        {
            "cut": whole[:-4096],
            "longer": whole + bytes(4096),
            "empty": b"",
            "exchanged": whole[:4096] + second + first + whole[12288:],
        }[change]
    )
    assert not same(source, copy)


def test_nothing_is_known_of_a_comparison_that_was_stopped(tmp_path: Path) -> None:
    source, copy = pair(tmp_path)
    stop = threading.Event()
    stop.set()
    assert not same_pages(source, copy, stop)
