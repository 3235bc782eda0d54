"""Adoption: any table of an older program takes our records afterwards and keeps every value; or is refused whole."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from llm_metrics_proxy.errors import MigrationRefusedError
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.migration.adoption import adopt
from llm_metrics_proxy.migration.legacy import FileKind, Inspection, inspect
from llm_metrics_proxy.migration.own_schema import index_steps
from llm_metrics_proxy.migration.rehearsal import rehearse
from llm_metrics_proxy.record import ALL_COLUMNS, COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.storage.sqlite_schema import applied_steps, steps
from tests import legacy
from tests.examples import examples
from tests.journal_parts import an_ended_record

Row = tuple[Any, ...]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


def execute(path: Path, sql: str, *parameters: Any) -> list[Row]:
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute(sql, parameters))
    finally:
        connection.close()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def values(path: Path, names: Sequence[str], order: str = "id") -> list[Row]:
    """Storage class and exact value of these columns; format() gives a float's bits, hex() those of text and blobs."""
    exact = (
        "typeof({0}), CASE typeof({0}) WHEN 'real' THEN format('%!.17g', {0}) WHEN 'integer' THEN {0} ELSE hex({0}) END"
    )
    chosen = ", ".join(exact.format(quoted(name)) for name in names)
    return execute(path, f"SELECT {chosen} FROM completion_requests ORDER BY {order}")


def adopted(path: Path, *, backup: str | None = None) -> list[str]:
    """As the engine does: rehearse, then adopt in one transaction, then the indexes."""
    seen = inspect(path)
    assert seen.found is FileKind.LEGACY, seen.message
    rehearse(seen)
    connection = apsw.Connection(str(path))
    try:
        connection.pragma("journal_mode", "WAL")
        with connection:
            added = adopt(connection, seen, app_version="2.1.0", backup=backup)
        for statement in index_steps():
            connection.execute(statement)
    finally:
        connection.close()
    return added


def takes_our_records(path: Path) -> None:
    """Through the store, a full one and one with all unknown; both come back with equal values."""
    store = SqliteStore(path)
    full = to_row(an_ended_record(1, model="llama", origin="web", temperature=0.5, is_streaming=True))
    bare = to_row(an_ended_record(2, total_tokens=None, response_time_ms=None, status_code=None))
    store.append(IngestBatch(rows=[full, bare]))
    store.close()
    ids = f"request_id IN ('{1:032x}', '{2:032x}')"
    stored = execute(path, f"SELECT {', '.join(COLUMNS[1:])} FROM completion_requests WHERE {ids} ORDER BY id")
    assert stored == [full, bare]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize("layout", legacy.LAYOUTS)
@pytest.mark.parametrize("rows", [0, 30, legacy.ODD_ROWS], ids=["none", "ordinary", "odd"])
def test_every_layout_keeps_every_value_and_takes_our_records(
    path: Path, layout: str, rows: Any, encoding: str
) -> None:
    legacy.make(path, layout, rows, encoding=encoding)
    names = legacy.names(layout)
    by_copy = layout in ("text id", "without rowid", "no id")
    order = "timestamp, id" if layout == "without rowid" else "rowid"
    before = values(path, names, order)
    added = adopted(path)
    kept = ["id_original" if name == "id" and by_copy else name for name in names]
    after = values(path, kept, "timestamp, id_original" if layout == "without rowid" else "id")
    assert after == before
    assert set(added) == set(ALL_COLUMNS) - set(names) - ({"id"} if by_copy else set())
    takes_our_records(path)
    assert inspect(path).found is FileKind.OURS
    assert applied_steps(path) == {step.number for step in steps()}


def test_what_is_not_ours_stays(path: Path) -> None:
    legacy.make(path, "2.0 shuffled", 60)
    ours = {"completion_requests"}
    sql = "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    before = {name: text for name, text in execute(path, sql) if name not in ours}
    adopted(path)
    after: dict[str, str] = dict(execute(path, sql))
    assert {name: after[name] for name in before} == before
    assert execute(path, "SELECT note FROM completion_requests_backup") == [("keep me",)]
    assert execute(path, "SELECT max(version) FROM schema_version") == [(2,)]
    assert execute(path, "SELECT count(*) FROM slow") > [(0,)]
    takes_our_records(path)
    assert ("llama",) in execute(path, "SELECT model FROM models_seen"), "the trigger still works"


def test_the_adoption_is_written_down(path: Path) -> None:
    legacy.make(path, "1.0")
    added = adopted(path, backup="before.db")
    ((app_version, found, columns, backup),) = execute(
        path, "SELECT app_version, found, added_columns, backup FROM adoptions"
    )
    assert (app_version, backup, json.loads(columns)) == ("2.1.0", "before.db", added)
    assert list(json.loads(found)["columns"]) == legacy.names("1.0")
    assert "origin" in added
    assert "user" not in added


def test_no_row_is_rewritten(path: Path) -> None:
    legacy.make(path, "2.0", 5000)
    size = path.stat().st_size
    seen = inspect(path)
    connection = apsw.Connection(str(path))
    changes = connection.total_changes()
    with connection:
        adopt(connection, seen, app_version="2.1.0", backup=None)
    assert connection.total_changes() - changes < 20, "only the ledger and the adoption"
    connection.close()
    assert path.stat().st_size - size < 23 * 4096  # tables of ours, empty: a page each


def test_a_transaction_that_is_rolled_back_leaves_nothing(path: Path) -> None:
    legacy.make(path, "text id")
    before = path.read_bytes()
    connection = apsw.Connection(str(path))
    seen = inspect(path)
    connection.execute("BEGIN IMMEDIATE")
    adopt(connection, seen, app_version="2.1.0", backup=None)
    connection.execute("ROLLBACK")
    connection.close()
    assert path.read_bytes() == before


def test_a_file_that_changed_since_it_was_inspected_is_refused(path: Path) -> None:
    legacy.make(path)
    seen = inspect(path)
    execute(path, "ALTER TABLE completion_requests ADD COLUMN surprise NOT NULL DEFAULT 1")
    connection = apsw.Connection(str(path))
    with pytest.raises(MigrationRefusedError, match="changed by another program"), connection:
        adopt(connection, seen, app_version="2.1.0", backup=None)
    connection.close()
    adopted(path)


def test_requests_that_stand_there_twice_are_refused(path: Path) -> None:
    legacy.make(path, "2.0", 3)
    execute(path, "ALTER TABLE completion_requests ADD COLUMN request_id TEXT DEFAULT 'same'")
    with pytest.raises(MigrationRefusedError, match="request_id 'same' is in 3 records"):
        adopted(path)


def test_a_row_keeps_its_rowid_and_the_old_id_beside_it(path: Path) -> None:
    legacy.make(path, "text id", 5)
    execute(path, "DELETE FROM completion_requests WHERE rowid IN (1, 3)")
    execute(path, "CREATE INDEX by_model ON completion_requests (model)")
    execute(path, 'CREATE VIEW broken AS SELECT x FROM "not there"')
    before = execute(path, "SELECT rowid, id FROM completion_requests ORDER BY rowid")
    adopted(path)
    assert execute(path, "SELECT id, id_original FROM completion_requests ORDER BY id") == before
    assert execute(path, "SELECT tbl_name FROM sqlite_schema WHERE name = 'by_model'") == [("completion_requests",)]
    takes_our_records(path)


def test_rows_of_a_strict_table_without_id_keep_their_storage_classes(path: Path) -> None:
    anything = ", ".join(f"{name} ANY" for name in ("id", "id_original", "timestamp", "model", "total_tokens"))
    execute(path, f"CREATE TABLE completion_requests ({anything}) STRICT")
    execute(path, "INSERT INTO completion_requests VALUES ('a', '12', '1e3', 7.0, 5), ('a', x'00', 9, '7.0', NULL)")
    before = values(path, ["id", "id_original", "timestamp", "model", "total_tokens"], "rowid")
    adopted(path)
    assert values(path, ["id_original_", "id_original", "timestamp", "model", "total_tokens"]) == before
    takes_our_records(path)


TRIGGER, ON = "CREATE TRIGGER t", "ON completion_requests BEGIN"
STANDARD = "id INTEGER PRIMARY KEY, timestamp TEXT, model TEXT, total_tokens INTEGER, response_time_ms REAL"


TEXT_KEY = "id TEXT, timestamp TEXT, model TEXT, total_tokens INTEGER"
# What follows the standard columns, further statements, and what is said.
IN_THE_WAY = [
    (", CHECK (length(model) > 100)", "", "would refuse a record of ours: CHECK constraint failed"),
    (", UNIQUE (model)", "", "would refuse a second record like another: UNIQUE constraint failed"),
    (", UNIQUE (model) ON CONFLICT REPLACE", "", "keeps records of ours out"),
    (", tokens_per_second REAL CHECK (tokens_per_second IS NULL)", "", "CHECK constraint failed"),
    (", tokens_per_second AS (total_tokens / response_time_ms)", "", "generated column"),
    (
        ", origin TEXT",
        f"{TRIGGER} AFTER INSERT {ON} UPDATE completion_requests SET origin = 'me' WHERE id = new.id; END",
        "column origin does not keep what is stored in it: 'text' becomes 'me'",
    ),
    ("", "CREATE UNIQUE INDEX u ON completion_requests (timestamp)", "UNIQUE constraint failed"),
    ("", f"{TRIGGER} BEFORE INSERT {ON} SELECT RAISE(ABORT, 'closed'); END", "refuse a record of ours: .*closed"),
    ("", f"{TRIGGER} BEFORE INSERT {ON} SELECT RAISE(IGNORE); END", "keeps records of ours out"),
    ("", f"{TRIGGER} BEFORE UPDATE {ON} SELECT RAISE(ABORT, 'frozen'); END", "a recomputed record: .*frozen"),
    ("", f"{TRIGGER} AFTER INSERT {ON} INSERT INTO nowhere VALUES (1); END", "nowhere"),
    (
        ", changed",
        f"{TRIGGER} AFTER UPDATE {ON} UPDATE completion_requests SET changed = 'now' WHERE id = new.id; END",
        "would change other columns too",
    ),
    ("", "CREATE TABLE migrations (version)", "migrations already exists"),
    ("", "CREATE TABLE schema_steps (x)", "schema_steps already exists"),
    ("", "CREATE VIEW counters AS SELECT 1", "counters already exists"),
]


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        *((f"CREATE TABLE completion_requests ({STANDARD}{more}); {also}", said) for more, also, said in IN_THE_WAY),
        (f"CREATE TABLE completion_requests ({STANDARD}, success TEXT, user INTEGER) STRICT", "TEXT value in INTEGER"),
        (
            f"CREATE TABLE completion_requests ({TEXT_KEY}); CREATE UNIQUE INDEX u ON completion_requests (model)",
            "UNIQUE constraint failed",
        ),
    ],
)
def test_what_would_refuse_our_records_is_named_before_anything_is_touched(
    path: Path, statements: str, said: str
) -> None:
    execute(path, statements)
    before = legacy.side_files(path)
    with pytest.raises(MigrationRefusedError, match=said) as caught:
        rehearse(inspect(path))
    assert str(path) in str(caught.value)
    assert "Nothing was changed" in str(caught.value)
    assert legacy.side_files(path) == before


@pytest.mark.parametrize(
    "columns",
    [
        "success BOOLEAN NOT NULL, status_code INTEGER NOT NULL, note TEXT NOT NULL",
        "status_code INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT 'x', other NOT NULL DEFAULT NULL",
        "tokens_per_second REAL NOT NULL, app_version TEXT NOT NULL, \"a\"\"b\" TEXT NOT NULL",
        "recompute_reason TEXT NOT NULL DEFAULT '', timestamp_original TEXT NOT NULL DEFAULT 'x'",
    ],
)  # fmt: skip
def test_not_null_is_lifted_where_our_records_have_no_value(path: Path, columns: str) -> None:
    execute(path, f"CREATE TABLE completion_requests ({STANDARD}, {columns})")
    adopted(path)
    takes_our_records(path)


def test_our_tables_and_indexes_are_those_of_a_new_database(path: Path, tmp_path: Path) -> None:
    SqliteStore(tmp_path / "new.db").close()
    adopted(legacy.make(path))
    sql = "SELECT name, iif(type = 'table', sql, tbl_name) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    new: dict[str, str] = dict(execute(tmp_path / "new.db", sql))
    old: dict[str, str] = dict(execute(path, sql))
    del new["completion_requests"]
    assert {name: old[name] for name in new} == new
    takes_our_records(path)
    with pytest.raises(apsw.ConstraintError):
        execute(path, "INSERT INTO completion_requests (request_id) SELECT request_id FROM completion_requests")


ODD_NAMES = ["select", 'a"b', "日本", "a b", "rowid", "ORDER", "'", "id_original", "x;y", "[z]"]
OUR_NAMES = sorted(set(ALL_COLUMNS) - {"id", "timestamp", "model", "total_tokens", "request_id"})
TYPES = [
    "",
    "TEXT",
    "INTEGER",
    "REAL",
    "NUMERIC",
    "BLOB",
    "BOOLEAN",
    "VARCHAR(20)",
    "TIMESTAMP",
    "ANY",
    "FLOAT",
    "STRING",
]
KEYS = ["id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT", "id TEXT PRIMARY KEY", "id", None]
ALSO = [
    "CREATE INDEX i ON completion_requests (model, timestamp)",
    "CREATE VIEW v AS SELECT * FROM completion_requests",
    "CREATE VIEW gone AS SELECT x FROM nowhere",
    f"CREATE TABLE seen (m); {TRIGGER} AFTER INSERT {ON} INSERT INTO seen VALUES (new.model); END",
    "CREATE UNIQUE INDEX u ON completion_requests (timestamp, model)",
    "CREATE TRIGGER r BEFORE UPDATE ON completion_requests BEGIN SELECT RAISE(ABORT, 'no'); END",
]
REFUSING = set(ALSO[-2:])
# What SQLite accepts in any column; 2^53 + 1 and -0.0 do not survive a conversion unseen.
CELLS = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=6),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["12", "1e3", " 7", "0x1", "", 1, 1.0, -0.0, 2**53 + 1, "2025-01-01T00:00:00", b"12"]),
)  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Definitions in any order, and the names of those that can be filled."""
    names = ["timestamp", "model", "total_tokens"]
    names += draw(st.lists(st.sampled_from([*OUR_NAMES, *ODD_NAMES]), max_size=8, unique_by=str.lower))
    defined, filled = [], []
    for name in names:
        limits = draw(st.sampled_from(["", "", "", " NOT NULL", " NOT NULL DEFAULT 7", " DEFAULT 'x'", " CHECK (1)"]))
        defined.append(f"{quoted(name)} {draw(st.sampled_from(TYPES))}{limits}")
        filled.append((name, "NOT NULL" in limits))
    order = draw(st.permutations(range(len(defined))))
    defined, filled = [defined[i] for i in order], [filled[i] for i in order]
    if draw(st.booleans()):
        defined.insert(draw(st.integers(0, len(defined))), "made AS (coalesce(total_tokens, 0) || 'x')")
    key = draw(st.sampled_from(KEYS))
    if key is not None:
        defined.insert(draw(st.integers(0, len(defined))), key)
    return defined, [f"{name}\0{needed}" for name, needed in filled]


@examples(50, allow=(HealthCheck.filter_too_much,))
@given(columns(), st.lists(st.sampled_from(ALSO), max_size=3, unique=True), st.data())
def test_any_table_is_adopted_with_every_value_or_refused_whole(
    made: tuple[list[str], list[str]], also: list[str], data: st.DataObject
) -> None:
    defined, filled = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.db")
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"CREATE TABLE completion_requests ({', '.join(defined)})")
        names = [each.split("\0")[0] for each in filled]
        needed = [each.endswith("True") for each in filled]
        insert = (
            f"INSERT INTO completion_requests ({', '.join(map(quoted, names))}) VALUES ({', '.join('?' * len(names))})"
        )
        rows = data.draw(
            st.lists(st.tuples(*[CELLS.filter(lambda v: v is not None) if n else CELLS for n in needed]), max_size=5)
        )
        connection.executemany(insert, rows)
        for statement in list(also):
            try:
                connection.execute(statement)
            except apsw.ConstraintError:  # the rows are not unique, so that there can be no such index
                also.remove(statement)
        connection.close()
        seen = inspect(path)
        assert seen.found is FileKind.LEGACY, seen.message
        before, bits = values(path, names, _hidden_key(seen)), path.read_bytes()
        try:
            rehearse(seen)
        except MigrationRefusedError as error:
            said = str(error)
        else:
            said = ""
        if said:
            assert REFUSING & set(also), said
            assert "UNIQUE constraint failed" in said or ": no." in said
            assert path.read_bytes() == bits
            assert [each.name for each in path.parent.iterdir()] == ["metrics.db"]
            return
        assert not REFUSING & set(also)
        adopted(path)
        assert values(path, names) == before
        store = SqliteStore(path)
        ours = to_row(an_ended_record(1, model="007", temperature=2 / 3, max_tokens=2**53 + 1))
        store.append(IngestBatch(rows=[ours]))
        store.close()
        reader = SqliteReader(path)
        (stored,) = reader.query(
            f"SELECT {', '.join(COLUMNS[1:])} FROM completion_requests WHERE request_id IS NOT NULL"
        )
        reader.close()
        assert stored == ours


def _hidden_key(seen: Inspection) -> str:
    """The rowid under a name that no column took."""
    taken = {name.lower() for name in seen.columns}
    return next(name for name in ("rowid", "_rowid_", "oid") if name not in taken)


def test_a_table_whose_columns_took_all_names_of_the_rowid(path: Path) -> None:
    execute(path, "CREATE TABLE completion_requests (rowid, _rowid_, oid, timestamp, model, total_tokens)")
    execute(
        path, "INSERT INTO completion_requests VALUES ('a', 1, 2.0, '2025-02', 'm', 1), (1, 2, 3, '2025-01', 'm', 2)"
    )
    before = values(path, ["rowid", "_rowid_", "oid", "timestamp"], "timestamp")
    adopted(path)
    assert values(path, ["rowid", "_rowid_", "oid", "timestamp"]) == before
    takes_our_records(path)
