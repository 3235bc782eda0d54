"""docs/howto/metrics.ipynb, cell by cell against a real API, as Jupyter runs it: one namespace, and cells may await."""

import ast
import asyncio
import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from llm_metrics_proxy.api import create_app
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.api.service import ports
from tests.client.served import served

NOTEBOOK: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "docs" / "howto" / "metrics.ipynb").read_text(encoding="utf-8")
)
CELLS: Final = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Requests of the last ten days, slower and failing more of late."""
    database, now = Database(tmp_path), datetime.now(UTC)
    rows = []
    for number in range(400):
        began = now - timedelta(days=10) + timedelta(days=10) * number / 400
        late = number > 200
        bad = late and number % 3 == 0
        record = a_record(
            (began - NOON).total_seconds(),
            model="ab"[number % 2],
            user=None if number % 5 else "anna",
            session_id=f"session {number % 7}",
            response_time_ms=150.0 + 500 * late + number % 11,
            success=not bad,
            outcome="upstream_error" if bad else "completed",
            error_type="internal" if bad else None,
        )
        rows.append(a_row(record, error_category="upstream" if bad else None, cost_usd=0.01))
    database.append(rows)
    with served(create_app(ports(database, clock=lambda: datetime.now(UTC).timestamp()))) as address:
        yield address
    database.close()


def shown(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression."""
    tree = ast.parse(cell)
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        target = ast.Assign(targets=[ast.Name("_shown", ast.Store())], value=last.value)
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(target, last))
    code = compile(tree, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names.pop("_shown", None)
    running = eval(code, names)
    if inspect.iscoroutine(running):
        asyncio.run(running)
    return names.get("_shown")


def test_every_cell_runs_and_shows_something(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_METRICS_URL", url)
    names: dict[str, Any] = {}
    results = [shown(cell, names) for cell in CELLS]
    told = capsys.readouterr().out
    assert results[0] == 400
    assert results[1].shape[0] == 2
    assert results[2]["response_time_ms.p95"] == "ms"
    assert list(results[3].columns) == ["a", "b"]
    assert results[4].shape == (20, 4)
    assert "- " in told
    assert "x upstream/internal: " in told
    assert results[7].shape[0] == 7
    assert "did you mean requests" in told
    assert "did you mean model" in told
    assert results[-2][0] > 200


def test_the_file_is_a_notebook_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
