"""A database that cannot be opened yet is opened later; one that must not be touched is refused at once."""

from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import ForeignDatabaseError, NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.storage.base import IngestBatch, SegmentPosition
from llm_metrics_proxy.storage.sqlite import SqliteStore


def late(path: Path) -> SqliteStore:
    return SqliteStore(path, admit=lambda: None)


def test_a_database_that_can_be_opened_is_opened_at_once(tmp_path: Path) -> None:
    store = late(tmp_path / "m.db")
    assert store.is_open
    position = SegmentPosition("ab", 1, 8, done=True)
    store.append(IngestBatch(positions=[position], counters=[("series", b"state")]))
    assert store.positions() == [position]
    assert store.counters() == [("series", b"state")]
    assert store.open_requests() == []
    store.forget_worker("ab")
    assert store.positions() == []
    store.close()


def test_one_that_is_locked_is_opened_when_it_is_free_and_says_so_until_then(tmp_path: Path) -> None:
    with apsw.Connection(str(tmp_path / "m.db")) as other:  # a transaction
        other.execute("CREATE TABLE other_program (x)")
        store = late(tmp_path / "m.db")
        assert not store.is_open
        for _ in range(2):
            with pytest.raises(StoreBusyError):
                store.counters()
        other.execute("DROP TABLE other_program")
    other.close()
    assert store.counters() == []
    assert store.is_open
    store.close()


def test_one_that_never_could_be_opened_is_closed_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = late(tmp_path / "file" / "m.db")
    with pytest.raises(StoreError):
        store.append(IngestBatch())
    store.close()


def test_a_foreign_database_is_refused_at_once(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "m.db"))
    connection.execute("CREATE TABLE songs (title)")
    connection.close()
    with pytest.raises(ForeignDatabaseError):
        late(tmp_path / "m.db")


def test_a_newer_programs_database_is_refused_at_once(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "m.db").close()
    connection = apsw.Connection(str(tmp_path / "m.db"))
    connection.execute("INSERT INTO schema_steps VALUES (999, 'from_the_future', 'x', '2030-01-01', '9.0.0')")
    connection.close()
    with pytest.raises(NewerDatabaseError):
        late(tmp_path / "m.db")


def test_one_that_may_not_be_written_yet_is_opened_when_it_may(tmp_path: Path) -> None:
    def admit() -> None:
        if waits:
            raise StoreError("not yet")

    waits = [True]
    store = SqliteStore(tmp_path / "m.db", admit=admit)
    with pytest.raises(StoreError, match="not yet"):
        store.positions()
    assert not (tmp_path / "m.db").exists()
    waits.clear()
    assert store.positions() == []
    store.close()
