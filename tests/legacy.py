"""Databases as 1.x and early 2.x programs left them, in every shape that is known, and as killed programs left them.

``make(path, layout, rows)`` writes one; ``LAYOUTS`` says what each is like. Real SQLite files, the same each time.
"""

import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

_1_0 = (
    "id INTEGER PRIMARY KEY AUTOINCREMENT", "timestamp TEXT NOT NULL", "success BOOLEAN NOT NULL",
    "status_code INTEGER", "response_time_ms REAL", "model TEXT", "user TEXT", "is_streaming BOOLEAN",
    "max_tokens INTEGER", "temperature REAL", "top_p REAL", "message_count INTEGER", "prompt_tokens INTEGER",
    "completion_tokens INTEGER", "total_tokens INTEGER", "finish_reason TEXT", "error_type TEXT", "error_message TEXT",
)  # fmt: skip
_TIMING = ("time_to_first_token_ms REAL", "time_to_last_token_ms REAL", "tokens_per_second REAL")
_1_x = tuple("origin TEXT" if column == "user TEXT" else column for column in _1_0[:-2]) + _TIMING + _1_0[-2:]
_TRIGGER = (
    "CREATE TRIGGER see AFTER INSERT ON completion_requests WHEN new.model IS NOT NULL "
    "BEGIN INSERT OR IGNORE INTO models_seen VALUES (new.model); END"
)
_BACKUP = "CREATE TABLE completion_requests_backup (id INTEGER, timestamp TEXT, note TEXT DEFAULT 'not ours')"


class Layout(NamedTuple):
    """One program's way. ``formula``: the version whose rule its tokens_per_second follows; None: no such column.

    ``stamps`` are what its rows carry in app_version, in turn; a layout without that column has none.
    """

    story: str
    columns: tuple[str, ...]
    schema_version: int | None
    formula: str | None
    stamps: tuple[Any, ...] = ()
    table_options: str = ""
    also: tuple[str, ...] = ()  # further statements, before any row
    timestamp: str = "naive"  # naive, space, seconds, utc, offset or mixed


LAYOUTS: Final[dict[str, Layout]] = {
    "1.0": Layout("the first: `user`, no timing of tokens, no schema_version", _1_0, None, None),
    "1.1": Layout("origin in the place of user, timing of tokens, the inflated formula", _1_x, 1, "1.0.0"),
    "2.0": Layout(
        "app_version at the end, rows of both formulas with true stamps", (*_1_x, "app_version TEXT"), 2, "stamp",
        ("1.0.0", "2.0.0"), also=("CREATE INDEX idx_timestamp ON completion_requests (timestamp)",),
    ),
    "2.0 all stamped 1.0.0": Layout(
        "a default stamps every row 1.0.0 though it follows the rule of 2.0.0",
        (*_1_x, "app_version TEXT DEFAULT '1.0.0'"), 3, "2.0.0", ("1.0.0",), timestamp="utc",
    ),
    "2.0 all stamped 2.0.0": Layout(
        "stamped 2.0.0 by an ALTER TABLE, yet calculated by the rule of 1.0.0",
        (*_1_x, "app_version TEXT NOT NULL DEFAULT '2.0.0'"), 2, "1.0.0", ("2.0.0",),
    ),
    "2.0 without stamps": Layout(
        "app_version is NULL, empty or no version", (*_1_x, "app_version TEXT"), 2, "2.0.0",
        (None, "", "unknown", " 2.0.0 ", "v2.0.0", None), timestamp="space",
    ),
    "2.0 shuffled": Layout(
        "the columns in another order, other types, further columns, a view and a trigger",
        (
            "app_version VARCHAR(16)", *reversed(_1_x[1:]), 'notes TEXT', '"select" ANY DEFAULT \'x\'',
            '"a""b" INTEGER', '"日本" TEXT', "id INTEGER PRIMARY KEY",
        ),
        2, "stamp", ("2.0.0", "1.0.0", "1.2.3-rc.1"), timestamp="mixed",
        also=(
            "CREATE VIEW slow AS SELECT id, model FROM completion_requests WHERE response_time_ms > 1000",
            "CREATE TABLE models_seen (model TEXT PRIMARY KEY)",
            _TRIGGER,
            _BACKUP, "INSERT INTO completion_requests_backup VALUES (1, 'then', 'keep me')",
        ),
    ),
    "2.0 version per row": Layout(
        "a schema_version column in every row", (*_1_x, "schema_version INTEGER DEFAULT 2", "app_version TEXT"), None,
        "2.0.0", ("2.0.0",), timestamp="seconds",
    ),
    "2.0 without types": Layout(
        "no column has a type", (*(column.split()[0] for column in _1_x[1:]), "app_version", "id INTEGER PRIMARY KEY"),
        3, "2.0.0", ("2.0.0", None), timestamp="offset",
    ),
    "2.0 in the wrong columns": Layout(
        "values one column to the side: text where numbers belong",
        (*(column.replace(" NOT NULL", "") for column in _1_x), "app_version TEXT"), 2, "stamp", ("1.0.0",),
    ),
    "text id": Layout(
        "a UUID for id", ("id TEXT PRIMARY KEY", *_1_x[1:], "app_version TEXT"), 2, "stamp", ("1.0.0", "2.0.0")
    ),
    "without rowid": Layout(
        "a UUID for id and no rowid", ("id TEXT PRIMARY KEY", *_1_x[1:], "app_version TEXT"), 2, "stamp", ("1.0.0",),
        table_options="WITHOUT ROWID",
    ),
    "no id": Layout("no id at all", (*_1_x[1:], "app_version TEXT"), None, "1.0.0", ("1.0.0",)),
}  # fmt: skip

_FULL: Final[dict[str, Any]] = {
    "timestamp": "2025-03-01T10:00:00.250000", "success": 1, "status_code": 200, "response_time_ms": 2000.0,
    "model": "llama", "is_streaming": 1, "prompt_tokens": 20, "completion_tokens": 80, "total_tokens": 100,
    "finish_reason": "stop", "time_to_first_token_ms": 500.0, "time_to_last_token_ms": 1900.0,
    "tokens_per_second": 100 * 1000 / 1400.0, "app_version": "1.0.0",
}  # fmt: skip
_ODD_NUMBERS: Final = (
    None, 0, 0.0, -0.0, 1, 1.0, -1, -5.5, 0.1, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"),
    2**63 - 1, -(2**63), 2**53 + 1, "", "abc", "12", "12.5", " 7 ", "1e3", "NaN", "é\0x", b"", b"\x00\xff", b"12",
)  # fmt: skip
# Each differs from a plain record in one value or two; NaN is NULL once it is stored.
ODD_ROWS: Final[tuple[dict[str, Any], ...]] = (
    *({**_FULL, "total_tokens": odd} for odd in _ODD_NUMBERS),
    *({**_FULL, "response_time_ms": odd} for odd in _ODD_NUMBERS),
    *({**_FULL, "tokens_per_second": odd} for odd in _ODD_NUMBERS),
    *({**_FULL, "app_version": odd} for odd in (None, "", "2.0.0", "2.0", "v2.0.0", "0.9", "1.10.0", 2, 2.0, b"2.0.0")),
    *(
        {**_FULL, "timestamp": odd}
        for odd in (
            "2025-03-01", "2025-03-01 10:00", "2025-03-01T10:00:00Z", "2025-03-01T10:00:00.1234567+02:00", "yesterday",
            "", "2025-02-30T00:00:00", 1740823200, 1740823200.5, b"2025-03-01", "2025-03-01T10:00:00.250000Z",
        )
    ),
    {**_FULL, "model": "", "finish_reason": "", "error_message": "it's \"odd\" 日本 \U0001f600"},
    {**_FULL, "total_tokens": 2**63 - 1, "response_time_ms": 5e-324, "tokens_per_second": float("inf")},
    {**_FULL, "success": 0, "status_code": 500, "total_tokens": None, "tokens_per_second": None, "error_type": "boom"},
    {**_FULL, "success": "true", "is_streaming": "false", "status_code": "200", "message_count": "three"},
    {"timestamp": "2025-03-01T10:00:00", "success": 0},
)  # fmt: skip


def names(layout: str) -> list[str]:
    """The columns of a layout, in its order, as they are called."""
    return [_name(column) for column in LAYOUTS[layout].columns]


def make(
    path: Path,
    layout: str = "1.1",
    rows: Sequence[Mapping[str, Any]] | int = 10,
    *,
    schema_version: int | None = -1,
    journal_mode: str = "DELETE",
    encoding: str = "UTF-8",
    page_size: int = 4096,
) -> Path:
    """Write a legacy database and return its path.

    ``rows``: how many ordinary records, or the records themselves by column name: a name that the layout lacks is left
    out, a column that a record lacks is NULL (0 where the layout wants a value). ``schema_version`` -1: the layout's.
    """
    like = LAYOUTS[layout]
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA encoding = '{encoding}'; PRAGMA page_size = {page_size}; PRAGMA synchronous = OFF")
    connection.pragma("journal_mode", journal_mode)
    with connection:
        connection.execute(f"CREATE TABLE completion_requests ({', '.join(like.columns)}) {like.table_options}")
        version = like.schema_version if schema_version == -1 else schema_version
        if version is not None:
            connection.execute(
                "CREATE TABLE schema_version (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, applied_at TEXT, "
                "description TEXT)"
            )
            connection.executemany(
                "INSERT INTO schema_version (version, applied_at, description) VALUES (?, '2025-01-01T00:00:00', '')",
                [(each,) for each in range(1, version + 1)],
            )
        for statement in like.also:
            connection.execute(statement)
        insert_rows(connection, layout, rows)
    connection.close()
    return path


def insert_rows(connection: apsw.Connection, layout: str, rows: Sequence[Mapping[str, Any]] | int) -> None:
    """As an older program that still runs does: append to a database that ``make`` made."""
    columns = LAYOUTS[layout].columns
    needed = {_name(column) for column in columns if "NOT NULL" in column}
    rows_to_come: Iterable[Mapping[str, Any]]
    if isinstance(rows, int):
        ((start,),) = connection.execute("SELECT count(*) FROM completion_requests")
        rows_to_come = (ordinary(layout, start + index) for index in range(rows))
    else:
        texts = "id TEXT PRIMARY KEY" in columns
        rows_to_come = ({"id": f"given-{index}" if texts else None, **row} for index, row in enumerate(rows))
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names(layout))
    connection.executemany(
        f"INSERT INTO completion_requests ({quoted}) VALUES ({', '.join('?' * len(columns))})",
        (tuple(_value(row, name, needed) for name in names(layout)) for row in rows_to_come),
    )


def ordinary(layout: str, index: int) -> dict[str, Any]:
    """The record with this index, as that program would have written it: most succeed, every 20th failed."""
    like = LAYOUTS[layout]
    failed, streamed = index % 20 == 13, index % 3 != 0
    prompt, completion = 20 + index % 200, 1 + index * 7 % 500
    duration_ms = 150.5 + index * 37 % 9000
    first_ms = 20.25 + index % 100 if streamed else None
    stamp = like.stamps[index % len(like.stamps)] if like.stamps else None
    record: dict[str, Any] = {
        "id": f"6ba7b810-9dad-11d1-80b4-{index:012x}" if "id TEXT PRIMARY KEY" in like.columns else None,
        "timestamp": _timestamp(like.timestamp, index),
        "success": int(not failed),
        "status_code": 502 if failed else 200,
        "response_time_ms": duration_ms,
        "model": ("llama3:8b", "mistral", "qwen2.5-coder")[index % 3],
        "user": ("alice", "bob", None)[index % 3],
        "origin": ("web", "cli", None, "batch")[index % 4],
        "is_streaming": int(streamed),
        "max_tokens": 512 if index % 2 else None,
        "temperature": (0.7, 1, None)[index % 3],
        "top_p": 0.9,
        "message_count": 1 + index % 9,
        "prompt_tokens": None if failed else prompt,
        "completion_tokens": None if failed else completion,
        "total_tokens": None if failed else prompt + completion,
        "finish_reason": None if failed else "stop",
        "time_to_first_token_ms": None if failed else first_ms,
        "time_to_last_token_ms": None if failed or first_ms is None else duration_ms - 5,
        "error_type": "upstream_error" if failed else None,
        "error_message": "connection refused" if failed else None,
        "app_version": stamp,
        "schema_version": 2,
        "notes": f"note {index}",
        "a\"b": index,
        "日本": "語",
    }  # fmt: skip
    record["tokens_per_second"] = _tokens_per_second(stamp if like.formula == "stamp" else like.formula, record)
    if layout == "2.0 in the wrong columns" and index % 2:
        order = names(layout)[1:]
        shifted = [record[name] for name in order]
        record |= dict(zip(order, [*shifted[-1:], *shifted[:-1]], strict=True))
        record["timestamp"] = _timestamp(like.timestamp, index)
    return record


def _tokens_per_second(version: Any, record: Mapping[str, Any]) -> float | None:
    tokens, last_ms = record["total_tokens"], record["time_to_last_token_ms"]
    if tokens is None:
        return None
    if version == "2.0.0":
        return float(tokens * 1000 / record["response_time_ms"])
    return float(tokens / ((last_ms - record["time_to_first_token_ms"]) / 1000)) if last_ms else None


def _timestamp(style: str, index: int) -> str:
    second = index * 61
    day = f"2025-{1 + second // 86400 // 28 % 12:02}-{1 + second // 86400 % 28:02}"
    clock = f"{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}"
    fraction = f".{index * 1237 % 1_000_000:06}"
    styles = {
        "naive": f"{day}T{clock}{fraction}",
        "space": f"{day} {clock}",
        "seconds": f"{day}T{clock}",
        "utc": f"{day}T{clock}{fraction}+00:00",
        "offset": f"{day}T{clock}{fraction[:4]}+02:00",
        "normal": f"{day}T{clock}{fraction}Z",
    }
    return styles[style] if style != "mixed" else list(styles.values())[index % len(styles)]


def _name(column: str) -> str:
    if column.startswith('"'):
        return column[1 : column.rindex('"')].replace('""', '"')
    return column.split(maxsplit=1)[0]


def _value(row: Mapping[str, Any], name: str, needed: set[str]) -> Any:
    value = row.get(name)
    return 0 if value is None and name in needed else value


# What a program does that is killed: after the transaction of a WAL, or half way through one of a rollback journal.
_KILLED: Final = """
import os, signal, sys
import apsw
connection = apsw.Connection(sys.argv[1])
if sys.argv[2] == "wal":
    connection.pragma("journal_mode", "WAL")
    connection.pragma("wal_autocheckpoint", 0)
connection.pragma("cache_size", 2)  # pages go to the file before the end of the transaction
connection.execute("BEGIN IMMEDIATE")
for statement in sys.argv[3:]:
    connection.execute(statement).fetchall()
if sys.argv[2] == "wal":
    connection.execute("COMMIT")
os.kill(os.getpid(), signal.SIGKILL)
"""
_SPREAD: Final = "UPDATE completion_requests SET error_message = hex(randomblob(2000))"


def leave_wal(path: Path, *statements: str, shm: bool = True) -> Path:
    """A program commits ``statements`` and is killed: they are in the ``-wal`` alone; ``shm``: its ``-shm`` stays."""
    _killed(path, "wal", statements)
    assert Path(f"{path}-wal").stat().st_size > 0
    if not shm:
        Path(f"{path}-shm").unlink()
    return path


def leave_hot_journal(path: Path, *statements: str) -> Path:
    """A program is killed within a transaction that had begun to change the file: a hot ``-journal`` is left."""
    before = path.read_bytes()
    _killed(path, "rollback", statements or (_SPREAD,))
    assert Path(f"{path}-journal").stat().st_size > 0
    assert path.read_bytes() != before, "nothing had been written to the file yet: more rows are needed"
    return path


def _killed(path: Path, mode: str, statements: Sequence[str]) -> None:
    child = subprocess.run([sys.executable, "-c", _KILLED, str(path), mode, *statements], check=False)
    assert child.returncode == -signal.SIGKILL


def dump(connection: apsw.Connection, table: str = "completion_requests") -> list[tuple[Any, ...]]:
    """Every value with its storage class, floats by their bits, in the order of rowid: what must not change."""
    columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (table,))]
    quoted = ['"' + name.replace('"', '""') + '"' for name in columns]
    parts = ", ".join(
        f"typeof({name}), iif(typeof({name}) = 'real', format('%!.17g', {name}), {name})" for name in quoted
    )
    return list(connection.execute(f'SELECT {parts} FROM "{table}"'))


def side_files(path: Path) -> dict[str, bytes]:
    """The file and all beside it whose name begins with its name: to compare before with after."""
    return {each.name: each.read_bytes() for each in path.parent.glob(f"{path.name}*") if each.is_file()}
