"""Only engines hold the SQL by which records are read, and nobody who asks or shows knows which engine answers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_metrics_proxy.record import ALL_COLUMNS
from tests.architecture.test_imports import ALLOWED, SOURCE, room_of_file, sources

RECORDS = "completion_requests"
# Who may hold SQL of records: those who read them, SQLite's writing side, and its migrations.
WITH_SQL = {"engines", "storage", "migration", "safe_migrations"}
ENGINES = {"engines.sqlite", "engines.clickhouse"}
# Rooms that ask questions of records, or show the answers.
ASKING = {"analytics", "api", "export", "export.parquet", "reports", "watch", "telemetry"}

_COLUMN = f"(?:{'|'.join(ALL_COLUMNS)})"
_SIGNS = {
    "names the table of records": re.compile(rf"\b{RECORDS}\b"),
    "selects columns of records": re.compile(rf"\bSELECT\b[^;]*\b{_COLUMN}\b[^;]*\bFROM (?:\{{\}}|\()"),
    "selects from what it is given": re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO) \{\}"),
    "compares a column with a placeholder": re.compile(rf"\b{_COLUMN}\b['\")+]*\s*(?:[<>=!]=?|IS|IN)\s*\(?\?"),
    "has a condition on a column": re.compile(rf"\b{_COLUMN}\b (?:IS )?(?:NOT )?(?:NULL|BETWEEN|GLOB|LIKE)\b"),
    "orders or groups by a column": re.compile(rf"\b(?:ORDER|GROUP) BY \b{_COLUMN}\b"),
    "calculates in SQL": re.compile(r"\b(?:iif|unixepoch|percentile_cont|quantile\w*)\("),
}


def texts(tree: ast.AST) -> Iterator[str]:
    """String constants without docstrings; what is put into an f-string is ``{}``."""
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            inside.add(id(node.value))  # a docstring
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def sql_in(code: str) -> list[str]:
    """What is wrong with each text that is SQL of records."""
    return [
        f"{what}: {text[:80]!r}"
        for text in texts(ast.parse(code))
        for what, sign in _SIGNS.items()
        if sign.search(text)
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if room_of_file(path).split(".")[0] not in WITH_SQL],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_only_engines_hold_sql_of_records(path: Path) -> None:
    assert sql_in(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        'sql = "SELECT 1 FROM completion_requests"',
        'sql = f"SELECT {x} FROM completion_requests NOT INDEXED"',
        'sql = f"SELECT model, count(*) FROM {table}"',
        'sql = f"SELECT count(*) FROM {table} WHERE x"',
        'also("timestamp >= ? AND timestamp < ?", a, b)',
        'also("arrival > ?", 5)',
        'also("error_category NOT NULL")',
        'also("retry_after_ms IS NOT NULL OR x")',
        'rest = "ORDER BY timestamp DESC"',
        'value = f"iif({column} > 0, 1, 0)"',
        'value = "quantileExactInclusive(0.5)(x)"',
    ],
)
def test_sql_of_records_is_found(code: str) -> None:
    assert sql_in(code)
    assert sql_in(f"def f():\n    '''Says what it does.'''\n    {code}")


@pytest.mark.parametrize(
    "code",
    [
        '"""Reads completion_requests, WHERE timestamp >= ?."""',
        'sql = "SELECT count(*) FROM open_requests"',
        'text = "select a model; from now on time_to_first_token_ms<500"',
        'text = "no timestamp is given"',
        "limit = timestamp >= start",
    ],
)
def test_other_texts_are_let_pass(code: str) -> None:
    assert sql_in(code) == []


def test_engines_are_opened_in_one_place() -> None:
    assert {room for room, allowed in ALLOWED.items() if allowed & ENGINES} == {"engines"}


def test_questions_know_neither_engines_nor_storage() -> None:
    assert not ALLOWED["analytics"] & {"engines", "storage", "storage.base", "rollups", *ENGINES}


def names(tree: ast.AST) -> set[str]:
    """Identifiers, imported modules and their parts."""
    found: set[str] = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "name", "arg", "module"):
            value = getattr(node, field, None)
            found |= {value} if isinstance(value, str) else set()
    return found


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if room_of_file(path) in ASKING],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_who_asks_or_shows_names_no_engine(path: Path) -> None:
    found = names(ast.parse(path.read_text(encoding="utf-8")))
    assert {name for name in found if re.search("sqlite|clickhouse|apsw", name, re.IGNORECASE)} == set()
