"""Every older file there is: set aside, carried over, and given back with nothing changed but names that are ours."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import Ended
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.legacy import LAYOUTS, ODD_ROWS, make
from tests.migration.databases import execute, options
from tests.migration.faults.jobs import new_record

FOLDER: Final = Path(__file__).parents[1] / "fixtures" / "databases"
GOLDEN: Final = sorted(path for path in FOLDER.glob("*.db") if int(path.stem[0]) < 5)  # of an older layout
_OURS: Final = ("migration_runs", "migration_before", "migration_facts")
_OF_THIS: Final = f"_of_{APP_VERSION.replace('.', '_')}"
_REBUILT: Final = ("rollup_state",)
_KEY: Final = "SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk"

Contents = dict[str, list[Any]]


@pytest.fixture(params=[*LAYOUTS, *(path.name for path in GOLDEN)])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "metrics.db"
    if request.param in LAYOUTS:
        make(path, request.param, 60)
    else:
        shutil.copyfile(GOLDEN[0].parent / request.param, path)
    return path


def everything(path: Path) -> tuple[list[Any], Contents]:
    """``sqlite_schema`` in words, and every row of every table with storage classes; without what is ours."""
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        schema: list[Any] = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
        schema = [row for row in schema if not (row[2] in _OURS or _OF_THIS in row[2])]
        tables = [name for kind, name, *_rest in schema if kind == "table"]
        return schema, {name: list(_rows(connection, name)) for name in tables if name not in _REBUILT}


def _rows(connection: apsw.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]
    quoted = ['"' + name.replace('"', '""') + '"' for name in columns]
    values = ", ".join(f"typeof({name}), CAST(CAST({name} AS TEXT) AS BLOB), CAST({name} AS BLOB)" for name in quoted)
    yield from connection.execute(f'SELECT {values} FROM "{table}" ORDER BY {", ".join(quoted)}')


def test_an_undo_leaves_exactly_what_was_there(older: Path) -> None:
    schema, contents = everything(older)
    result = engine.migrate(older, options(older), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ()), result
    records = len(contents["completion_requests"])
    assert execute(older, "SELECT count(*) FROM completion_requests") == [(records,)]
    assert result.run is not None
    assert result.run.records_changed == records
    _schema, aside = everything(older)
    assert aside[str(result.run.old_table)] == contents["completion_requests"], "the old table was written to"
    undone = engine.undo(older, options(older), migrations=MIGRATIONS)
    assert (undone.ended, undone.conflicts) == (Ended.UNDONE, ())
    schema_after, contents_after = everything(older)
    assert schema_after == schema
    assert contents_after == contents
    held = engine.migrate(older, options(older, automatic=True), migrations=MIGRATIONS)
    assert held.ended is Ended.HELD, "what a person took back is left alone"


def test_records_that_arrived_since_come_along_and_can_be_carried_over_again(older: Path) -> None:
    _schema, before = everything(older)
    records = len(before["completion_requests"])
    assert engine.migrate(older, options(older), migrations=MIGRATIONS).ended is Ended.DONE
    store = SqliteStore(older)
    store.append(IngestBatch(rows=[new_record(number) for number in range(5)]))
    store.close()
    for time in (1, 2):
        undone = engine.undo(older, options(older), migrations=MIGRATIONS)
        assert (undone.ended, undone.conflicts) == (Ended.UNDONE, ())
        _schema, after = everything(older)
        rows = after["completion_requests"]
        assert len(rows) == records + 5
        assert all(row in rows for row in before["completion_requests"])
        times = "SELECT count(*) FROM completion_requests WHERE timestamp = '2026-11-01T00:00:00.000000Z'"
        assert execute(older, times) == [(5,)]
        kept = f"completion_requests{_OF_THIS}" + ("" if time == 1 else "_2")
        assert execute(older, f"SELECT count(*) FROM {kept}") == [(records + 5,)]
        again = engine.migrate(older, options(older), migrations=MIGRATIONS)
        assert (again.ended, again.faults) == (Ended.DONE, ())
        assert execute(older, "SELECT count(*), count(DISTINCT arrival) FROM completion_requests") == [
            (records + 5, records + 5)
        ]
        assert execute(older, times) == [(5,)]


def test_odd_values_are_kept_in_the_old_table_and_named_in_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    make(path, "2.0 without types", ODD_ROWS)
    before = everything(path)
    result = engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert (result.ended, result.faults) == (Ended.DONE, ()), result
    assert result.run is not None
    assert result.run.unfit["total_tokens"] > 0
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    assert everything(path) == before


def test_records_that_were_put_into_an_older_table_are_whole_again_after_the_next_run(older: Path) -> None:
    assert engine.migrate(older, options(older), migrations=MIGRATIONS).ended is Ended.DONE
    store = SqliteStore(older)
    store.append(IngestBatch(rows=[new_record(number) for number in range(5)]))
    store.close()
    bound = engine.history(older)[-1].bound_id
    newer = f"SELECT * FROM completion_requests WHERE arrival > {bound} ORDER BY arrival"
    stored = execute(older, newer)
    if execute(older, "SELECT 1 FROM sqlite_schema WHERE name = 'migration_keys'"):
        pytest.skip("records of a table without numbers get others in the next run, and stay as they were put back")
    for life in range(2):
        undone = engine.undo(older, options(older), migrations=MIGRATIONS)
        assert (undone.ended, undone.conflicts) == (Ended.UNDONE, ())
        assert engine.migrate(older, options(older), migrations=MIGRATIONS).ended is Ended.DONE
        assert execute(older, newer) == stored, life
    assert len(stored) == 5


def test_another_record_under_the_number_of_one_that_was_put_back_stays_as_it_is(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", "1.1", 60)
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    store = SqliteStore(path)
    store.append(IngestBatch(rows=[new_record(number) for number in range(2)]))
    store.close()
    assert engine.undo(path, options(path), migrations=MIGRATIONS).ended is Ended.UNDONE
    execute(
        path, "UPDATE completion_requests SET timestamp = '2026-05-05T05:05:05.000000Z', model = 'other' WHERE id = 62"
    )
    assert engine.migrate(path, options(path), migrations=MIGRATIONS).ended is Ended.DONE
    found = execute(path, "SELECT model, request_id FROM completion_requests WHERE arrival > 60 ORDER BY arrival")
    assert found[0][1] is not None
    assert found[1][0] == "other"
