"""One module opens SQLite files and begins transactions; see its docstring for why."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.test_imports import SOURCE, sources

HOME = SOURCE / "storage" / "connection.py"
# As SQL begins one; `BEGIN` within a trigger ends no statement, and is not at its start.
_BEGINS = re.compile(r"\s*BEGIN\b(?!\s+\w+\s+\w)|.*;\s*BEGIN\b", re.IGNORECASE | re.DOTALL)
OTHERS = [path for path in sources() if path != HOME]


def opened(tree: ast.AST) -> list[int]:
    """Lines that call ``apsw.Connection``, or ``Connection`` where it is apsw's."""
    is_imported = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "apsw"
        and any(each.name == "Connection" for each in node.names)
        for node in ast.walk(tree)
    )
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr == "Connection")
            or (is_imported and isinstance(node.func, ast.Name) and node.func.id == "Connection")
        )
    ]


def begun(tree: ast.AST) -> list[int]:
    """Lines that execute a text which begins a transaction."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "execute"
        for word in ast.walk(node)
        if isinstance(word, ast.Constant) and isinstance(word.value, str) and _BEGINS.match(word.value)
    ]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_one_module_opens_databases_and_begins_transactions(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert not opened(tree), f"{path.name} opens a database: use `connect` or `in_memory` of storage/connection.py"
    assert not begun(tree), f"{path.name} begins a transaction: use those of storage/connection.py"


def test_that_module_is_found_to_do_both() -> None:
    tree = ast.parse(HOME.read_text())
    assert len(opened(tree)) == 2
    assert len(begun(tree)) == 4
    assert opened(ast.parse("from apsw import Connection; Connection('a')")) == [1]
    assert opened(ast.parse("from another import Connection; Connection('a')")) == []
    assert begun(ast.parse("connection.execute('ROLLBACK; BEGIN')")) == [1]
    assert begun(ast.parse("connection.execute('CREATE TRIGGER t WHEN 1 BEGIN SELECT 1; END')")) == []
