"""What docs/howto/export-and-report.md shows works as it stands there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from llm_metrics_proxy.analytics.live import LOOK_BACK
from llm_metrics_proxy.api import export_routes, live_hub, live_routes
from llm_metrics_proxy.api.parameters import MAX_REPLAY
from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.export import FORMATS
from llm_metrics_proxy.reports import DEFAULT_DAYS
from llm_metrics_proxy.reports.numbers import MAX_CHARS
from tests.analytics.database import Database, a_record
from tests.api.service import client

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "export-and-report.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
PROGRAM = "llm-metrics-proxy "


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """``data/metrics.db`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    opened = Database(tmp_path / "data")
    opened.add(*(a_record(number) for number in range(5)))
    yield opened
    opened.close()


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith(PROGRAM) and line != f"{PROGRAM}top"])
def test_every_command_does_what_it_says(database: Database, line: str) -> None:
    arguments = shlex.split(line.removeprefix(PROGRAM).partition(" | ")[0])
    assert run(arguments) == 0
    if "--output" in arguments:
        assert Path(arguments[arguments.index("--output") + 1]).stat().st_size > 0


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("curl ")])
def test_every_address_is_answered(database: Database, line: str) -> None:
    (url,) = re.findall(r"http://127\.0\.0\.1:8002(/[^']+)", line)
    assert client(database, stopping=lambda: True).get(url).status_code == 200


def test_the_question_to_duckdb_can_be_asked(database: Database) -> None:
    assert run(["export", "--output", "records.parquet"]) == 0
    (question,) = re.findall(r"```sql\n(.*?);\n```", PAGE, re.DOTALL)
    relation = duckdb.sql(question)
    assert relation is not None
    assert relation.fetchall() == [("llama3.1:8b", 5, 120.0)]


def test_numbers_of_the_page_are_those_of_the_program() -> None:
    words = {1: "one", 2: "two", 4: "four", 5: "five", 7: "seven"}
    assert f"At most {words[export_routes.AT_ONCE]} run at a time" in PAGE
    assert f"more than {live_hub.MAX_RECORDS} within a quarter of a second" in PAGE
    assert live_hub.TICK_S == 0.25
    assert f"at most {MAX_REPLAY}, sought among the last {LOOK_BACK:,}" in PAGE
    assert f"when {live_hub.MAX_WAITING_BYTES // 1024**2} MiB wait" in PAGE
    assert f"At most {live_hub.MAX_LISTENERS} listen" in PAGE
    assert f"sent for {live_routes.HEARTBEAT_S:.0f} s, a comment is" in PAGE.replace("\n", " ")
    assert f"the last {words[DEFAULT_DAYS]} days" in PAGE.replace("\n", " ")
    assert f"cut to {MAX_CHARS} characters" in PAGE
    assert all(f"`{name}`" in PAGE for name in FORMATS)
