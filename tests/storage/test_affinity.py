"""Declared types of an adopted table: every value that is stored is read back as it was, to the bit."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.affinity import (
    affinity,
    as_read,
    as_stored,
    insertion,
    kept_columns,
    mangled_columns,
    shadow,
)
from llm_metrics_proxy.storage.base import SHORTENED
from llm_metrics_proxy.storage.connection import Access, connect, in_memory
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.migration.databases import execute, make, options

TYPES: Final = ("TEXT", "DATETIME", "NUM", "INTEGER", "REAL", "BLOB", "")
TABLE: Final = (
    "CREATE TABLE completion_requests "
    "(id INTEGER PRIMARY KEY, timestamp {0}, model {0}, max_tokens {0}, temperature {0})"
)
NUMERIC_LOOKING: Final = st.from_regex(
    r"[ \t]?[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?[ \n]?", fullmatch=True
)
WORDS: Final = st.none() | NUMERIC_LOOKING | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNTS: Final = st.none() | st.integers(-(2**63), 2**63 - 1)
# Of -0.0 no column of numbers keeps the sign; our own does not either.
FRACTIONS: Final = (
    st.none() | st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: value != 0) | st.just(0.0)
)


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    opened = in_memory()
    yield opened
    opened.close()


def bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@given(values=st.tuples(WORDS, COUNTS, FRACTIONS))
def test_what_is_stored_is_read_to_the_bit(declared: str, encoding: str, values: tuple[Any, Any, Any]) -> None:
    connection = in_memory()
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    connection.execute(TABLE.format(declared))
    kept = shadow(connection)
    names = ("model", "max_tokens", "temperature")
    marks = ", ".join(as_stored(kept, name, f"?{place}") for place, name in enumerate(names, 1))
    connection.execute(f"INSERT INTO main.completion_requests ({', '.join(names)}) VALUES ({marks})", values)
    (stored,) = connection.execute(f"SELECT {', '.join(names)} FROM completion_requests")
    assert list(map(bits, stored)) == list(map(bits, values))
    asked = " AND ".join(f"{name} IS ?" for name in names)
    assert list(connection.execute(f"SELECT 1 FROM completion_requests WHERE {asked}", values)) == [(1,)]
    connection.close()


@pytest.mark.parametrize(
    ("column", "declared", "stored", "meant"),
    [
        ("model", "NUM", 7, "7"),
        ("model", "NUM", "gpt", "gpt"),
        ("model", "NUM", None, None),
        ("model", "REAL", 7, "7"),
        ("model", "REAL", 1.5, "1.5"),
        ("model", "TEXT", b"\x01", b"\x01"),
        ("model", "", 7, 7),
        ("max_tokens", "TEXT", 16, 16),
        ("max_tokens", "TEXT", "many", "many"),
        ("max_tokens", "REAL", 16, 16),
        ("max_tokens", "REAL", 16.5, 16.5),
        ("max_tokens", "REAL", b"x", b"x"),
        ("temperature", "TEXT", 0.5, 0.5),
        ("temperature", "TEXT", "warm", "warm"),
        ("temperature", "TEXT", b"1", b"1"),
        ("temperature", "INTEGER", 1, 1.0),
        ("temperature", "INTEGER", "warm", "warm"),
        ("temperature", "", 1, 1.0),
        ("timestamp", "DATETIME", "2025-01-01 12:00:00", "2025-01-01 12:00:00"),
        ("timestamp", "DATETIME", "12", 12),
    ],
)
def test_what_an_older_program_stored_means_what_it_gave(
    connection: apsw.Connection, column: str, declared: str, stored: Any, meant: Any
) -> None:
    connection.execute(TABLE.format(declared))
    connection.execute(f"INSERT INTO completion_requests ({column}) VALUES (?)", (stored,))
    shadow(connection)
    ((found,),) = connection.execute(f"SELECT {column} FROM completion_requests")
    assert (type(found), found) == (type(meant), meant)


def test_our_own_table_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "metrics.db"
    SqliteStore(path).close()
    connection = connect(path, Access.READ)
    assert shadow(connection) == {}
    assert not list(connection.execute("SELECT 1 FROM pragma_table_list WHERE schema = 'temp' AND type = 'view'"))
    assert mangled_columns(connection).keys() == SHORTENED.keys()  # a migration reads what was reported
    assert insertion({}).endswith(
        f"VALUES ({', '.join(f'?{place}' for place in range(1, insertion({}).count('?') + 1))})"
    )
    connection.close()


def test_a_file_that_lacks_what_later_steps_add_needs_nothing_either(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp TEXT NOT NULL) STRICT")
    assert kept_columns(connection) == {}


def test_words_are_compared_and_grouped_by_their_bytes_whatever_the_collation(connection: apsw.Connection) -> None:
    connection.execute(TABLE.format("TEXT COLLATE NOCASE"))
    connection.execute("INSERT INTO completion_requests (model) VALUES ('a'), ('A'), ('b')")
    shadow(connection)
    groups = "SELECT model, count(*) FROM completion_requests GROUP BY model ORDER BY model"
    assert list(connection.execute(groups)) == [("A", 1), ("a", 1), ("b", 1)]
    assert list(connection.execute("SELECT model FROM completion_requests WHERE model = 'a'")) == [("a",)]


def test_a_reader_that_is_open_while_the_file_is_adopted_follows(tmp_path: Path) -> None:
    path = make(tmp_path / "metrics.db", 20)
    execute(path, "ALTER TABLE completion_requests ADD COLUMN user NUM")
    reader = SqliteReader(path)
    execute(path, "UPDATE completion_requests SET user = '7'")
    assert reader.query("SELECT DISTINCT user FROM completion_requests") == [("7",)]
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    assert reader.query("SELECT DISTINCT user, outcome, typeof(cost_usd) FROM completion_requests LIMIT 1") == [
        ("7", "completed", "null")
    ]
    reader.close()


@pytest.mark.parametrize("declared", ["DATETIME", "TEXT", "INTEGER", ""])
def test_ranges_and_order_by_time_use_the_index_and_ranges_of_ids_the_table(tmp_path: Path, declared: str) -> None:
    path = tmp_path / "metrics.db"
    execute(
        path,
        f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, timestamp {declared}, model NUM, "
        "total_tokens INTEGER, response_time_ms INTEGER)",
    )
    engine.migrate(path, options(path), migrations=MIGRATIONS)
    reader = SqliteReader(path)
    in_time = "WHERE timestamp >= ? AND timestamp < ':'"
    plans = {
        f"FROM completion_requests {in_time} ORDER BY timestamp DESC, id DESC LIMIT 5": "USING INDEX "
        "completion_requests_timestamp (timestamp>? AND timestamp<?)",
        f"FROM completion_requests NOT INDEXED {in_time} AND id > 5 AND id <= 9 ORDER BY id LIMIT 5": "USING INTEGER "
        "PRIMARY KEY (rowid>? AND rowid<?)",
    }
    for asked, used in plans.items():
        explain = f"EXPLAIN QUERY PLAN SELECT model, response_time_ms {asked}"
        rows = reader.query(explain, ("2025-01-01T00:00:00.000000Z",))
        assert [row[3] for row in rows] == [f"SEARCH main.completion_requests {used}"]
    reader.close()


@pytest.mark.parametrize(
    ("declared", "is_"),
    [
        ("DATETIME", "NUMERIC"), ("BOOLEAN", "NUMERIC"), ("VARCHAR(20)", "TEXT"), ("CHARINT", "INTEGER"),
        ("FLOATING POINT", "INTEGER"), ("DOUBLE", "REAL"), ("", "BLOB"), ("ANY", "NUMERIC"), ("STRING", "NUMERIC"),
    ],
)  # fmt: skip
def test_the_affinity_of_a_declared_type_is_sqlites(connection: apsw.Connection, declared: str, is_: str) -> None:
    assert affinity(declared, strict=False) == is_
    connection.execute(f"CREATE TABLE t (x {declared})")
    connection.execute("INSERT INTO t VALUES ('1'), (1.0), (1)")
    connection.execute(f"CREATE TABLE by_affinity (x {is_})")
    connection.execute("INSERT INTO by_affinity VALUES ('1'), (1.0), (1)")
    kinds = "SELECT group_concat(typeof(x)) FROM {}"
    assert list(connection.execute(kinds.format("t"))) == list(connection.execute(kinds.format("by_affinity")))


def test_any_is_no_type_in_a_strict_table_alone() -> None:
    assert (affinity("ANY", strict=True), affinity("ANY", strict=False)) == ("BLOB", "NUMERIC")


def test_a_column_of_our_meaning_is_read_as_it_is() -> None:
    assert as_read({}, "model", "r.model") == "r.model"
