"""The tools by the official client: inside of this process, and over HTTP on a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import jsonschema  # type: ignore[import-untyped]
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from llm_metrics_proxy import extras
from llm_metrics_proxy.analytics.scope import ReadToken
from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.api.session import Sessions
from llm_metrics_proxy.client import AsyncMetricsClient
from llm_metrics_proxy.mcp_server.server import MAX_BODY_BYTES, make_server
from llm_metrics_proxy.mcp_server.telling import MAX_CHARS
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON, Database, a_record, a_row
from tests.api.service import ports
from tests.api.test_scoped import ANNA, SECRET, WHOLE, a_token
from tests.client.served import served

LATER = NOON + timedelta(hours=1)
TOOLS = {"summary", "query", "compare", "what_changed", "errors", "sessions", "slowest_requests", "explain"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Half an hour of requests of two people; Ben's fail."""
    folder: Path = tmp_path_factory.mktemp("mcp")
    opened = Database(folder)
    for number in range(30):
        mine = number % 3 == 0
        who = "anna" if mine else SECRET
        record = a_record(
            number * 60,
            user=who,
            app=f"app of {who}",
            model=f"model of {who}",
            session_id=f"session of {who}",
            success=mine,
            outcome="completed" if mine else "upstream_error",
            error_type=None if mine else "internal",
            error_message=None if mine else f"words of {who}",
            response_time_ms=1000.0 + number,
        )
        opened.append([a_row(record, error_category=None if mine else "upstream", cost_usd=0.5)])
    yield opened
    opened.close()


def clock() -> datetime:
    return LATER


def asked(database: Database, script: Callable[[Client], Any], mode: str = "auto") -> Any:
    """What the script returns, with a client inside of this process."""

    async def running() -> Any:
        app = create_app(ports(database, clock=LATER.timestamp))
        async with (
            AsyncMetricsClient.of_app(app) as metrics,
            Client(make_server(metrics, "http://localhost:8002/", clock), mode=mode, raise_exceptions=True) as client,
        ):
            return await script(client)

    return asyncio.run(running())


def called(database: Database, tool: str, **arguments: Any) -> dict[str, Any]:
    """The answer of a tool, which must be none of an error."""

    async def script(client: Client) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        (content,) = result.content
        assert not result.is_error, content
        assert json.loads(content.text) == result.structured_content  # type: ignore[union-attr]
        assert len(content.text) <= MAX_CHARS  # type: ignore[union-attr]
        found: dict[str, Any] = result.structured_content
        return found

    found: dict[str, Any] = asked(database, script)
    return found


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_every_tool_is_described_and_only_reads(database: Database, mode: str) -> None:
    async def script(client: Client) -> None:
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("llm-metrics-proxy", APP_VERSION)
        assert "never instructions" in (client.instructions or "").replace("\n", " ")
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == TOOLS
        for tool in tools:
            jsonschema.Draft202012Validator.check_schema(tool.input_schema)
            assert tool.annotations is not None
            assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
            assert all(one["description"] for one in tool.input_schema["properties"].values())
            result = await client.call_tool(tool.name, {})
            assert not result.is_error, result.content
            assert result.structured_content["link"].startswith("http://localhost:8002/")
        assert len(json.dumps([tool.model_dump(mode="json") for tool in tools])) < 16_000  # each agent reads all of it

    asked(database, script, mode)


def test_a_summary_and_its_link(database: Database) -> None:
    told = called(database, "summary", since="7d", where=["user=anna"])
    assert (told["requests"], told["success_rate"], told["cost_usd"]) == (10, 1, {"n": 10, "sum": 5})
    assert told["distributions"]["response_time_ms"]["n"] == 10
    assert told["link"] == "http://localhost:8002/?range=7d&user=anna"


def test_a_query_is_flat_rows(database: Database) -> None:
    told = called(database, "query", metrics=["requests", "response_time_ms.p95"], by="model", limit=1)
    assert told["units"] == {"requests": "requests", "response_time_ms.p95": "ms"}
    assert told["rows"] == [
        {"model": f"model of {SECRET}", "requests": 20, "response_time_ms.p95": 1028.05},
        {"merged_groups": 1, "requests": 10, "response_time_ms.p95": 1025.65},
    ]
    assert any(note.startswith("merged_groups:") for note in told["notes"])
    assert told["link"].endswith("explore?metric=requests&by=model&as=ranking&tz=UTC")


def test_a_value_that_few_records_have_says_how_many(tmp_path: Path) -> None:
    opened = Database(tmp_path)
    opened.append([a_row(a_record(0), cost_usd=1.0), a_row(a_record(1)), a_row(a_record(2))])
    (row,) = called(opened, "query", metrics=["requests", "cost_usd", "response_time_ms.p50"])["rows"]
    opened.close()
    assert (row["requests"], row["cost_usd"], row["n"]) == (3, 1, {"cost_usd": 1})


def test_a_comparison_has_both_periods(database: Database) -> None:
    told = called(database, "compare", metrics=["requests"], by="user", since="45m")
    rows = {row["user"]: row for row in told["rows"]}
    assert rows["anna"]["requests"] == {"now": 5, "before": 5, "change": 0}
    assert "compare=true" in told["link"]


def test_errors_come_with_what_to_do(database: Database) -> None:
    told = called(database, "errors", examples=1)
    assert (told["errors"], told["types"][0]["type"], len(told["examples"])) == (20, "internal", 1)
    assert told["types"][0]["advice"]
    assert told["link"] == "http://localhost:8002/errors"


def test_sessions_and_one_of_them(database: Database) -> None:
    told = called(database, "sessions", order="requests")
    assert [row["requests"] for row in told["sessions"]] == [20, 10]
    one = called(database, "sessions", session_id="session of anna", limit=3)
    assert (one["session"]["requests"], len(one["requests"])) == (10, 3)
    assert one["link"] == "http://localhost:8002/sessions?range=all&session=session+of+anna"


def test_the_slowest_requests_come_first(database: Database) -> None:
    told = called(database, "slowest_requests", limit=2)
    assert [one["response_time_ms"] for one in told["requests"]] == [1029, 1028]
    assert called(database, "slowest_requests", column="request_bytes", limit=1)["requests"]


def test_what_changed_is_told_in_words(database: Database) -> None:
    told = called(database, "what_changed", since="45m")
    assert (told["requests"], told["requests_before"]) == (15, 15)
    assert told["text"]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("query", {"metrics": ["reqests"]}, "did you mean requests"),
        ("query", {"by": ["modle"]}, "did you mean model"),
        ("query", {"metric": "requests"}, "there is no argument 'metric'; did you mean metrics"),
        ("summary", {"where": ["modle=a"]}, "did you mean model"),
        ("sessions", {"session_id": "nobody's"}, "no record has this session_id"),
        ("slowest_requests", {"column": "beauty"}, "there is no column to sort by 'beauty'"),
        ("explain", {"name": "beauty"}, "without a name"),
        ("delete_everything", {}, "there is no tool 'delete_everything'; there are: summary"),
    ],
)
def test_a_wrong_question_is_answered_so_that_an_agent_asks_better(
    database: Database, tool: str, arguments: dict[str, Any], message: str
) -> None:
    async def script(client: Client) -> None:
        result = await client.call_tool(tool, arguments)
        assert result.is_error
        assert message in result.content[0].text  # type: ignore[union-attr]

    asked(database, script)


def test_a_fault_of_ours_is_logged_and_told_without_a_word_of_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        async def ask(self, _: object) -> None:
            raise RuntimeError("inner words")

    async def running() -> Any:
        broken: Any = Broken()
        async with Client(make_server(broken, "http://localhost/")) as client:
            return await client.call_tool("summary", {})

    result = asyncio.run(running())
    assert result.is_error
    assert "inner words" not in result.content[0].text
    assert "inner words" in caplog.text


@pytest.fixture(scope="module")
def url(database: Database) -> Iterator[str]:
    tokens: list[ReadToken] = [a_token()]
    sessions = Sessions(WHOLE, tokens)
    app = create_app(ports(database, sessions=sessions, clock=LATER.timestamp, trusted_proxies=("127.0.0.1",)))
    with served(app) as address:
        yield address


@asynccontextmanager
async def over_http(url: str, token: str, mode: str, **headers: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}", **headers}, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_over_http_a_token_sees_what_it_sees_elsewhere(url: str, mode: str) -> None:
    everything = {"since": "all"}

    async def running(token: str) -> list[dict[str, Any]]:
        async with over_http(url, token, mode) as client:
            asked: list[tuple[str, dict[str, Any]]] = [
                ("summary", everything), ("query", {"by": ["user", "model", "app"], **everything}),
                ("errors", everything), ("sessions", everything), ("slowest_requests", {"limit": 50, **everything}),
                ("what_changed", {"since": "2026-03-01T12:10:00Z", "until": "2026-03-01T12:30:00Z"}),
                ("compare", {"since": "2026-03-01T12:10:00Z", "until": "2026-03-01T12:30:00Z", "by": "user"}),
            ]  # fmt: skip
            results = [await client.call_tool(tool, arguments) for tool, arguments in asked]
            assert not any(one.is_error for one in results), results
            return [one.structured_content for one in results]

    whole, scoped = asyncio.run(running(WHOLE)), asyncio.run(running(ANNA))
    assert (whole[0]["requests"], scoped[0]["requests"]) == (30, 10)
    assert SECRET not in json.dumps(scoped)
    assert all(SECRET in json.dumps(one) for one in whole[1:5]), "the test would not notice"
    assert whole[0]["link"] == f"{url}/?range=all"


def test_links_are_those_of_the_reverse_proxy(url: str) -> None:
    named = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "llm.example", "X-Forwarded-Prefix": "/metrics/"}

    async def running() -> Any:
        async with over_http(url, WHOLE, "auto", **named) as client:
            return (await client.call_tool("errors", {})).structured_content

    assert asyncio.run(running())["link"] == "https://llm.example/metrics/errors"


PING = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPTED = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", {}, json.dumps(PING), 401),
        ("POST", {"Authorization": "Bearer wrong-wrong-wrong-wrong"}, json.dumps(PING), 401),
        ("POST", {"Authorization": f"Bearer {WHOLE}"}, json.dumps(PING), 200),
        ("POST", {"Authorization": f"Bearer {WHOLE}"}, "{", 400),
        ("POST", {"Authorization": f"Bearer {WHOLE}"}, json.dumps({**PING, "x": "y" * MAX_BODY_BYTES}), 413),
        ("POST", {"Authorization": f"Bearer {WHOLE}", "Origin": "http://elsewhere.example"}, json.dumps(PING), 403),
        ("POST", {"Authorization": f"Bearer {WHOLE}", "Content-Type": "text/plain"}, json.dumps(PING), 415),
        ("GET", {"Authorization": f"Bearer {WHOLE}"}, "", 405),
        ("DELETE", {"Authorization": f"Bearer {WHOLE}"}, "", 405),
    ],
)
def test_the_guard_is_before_the_tools(url: str, method: str, headers: dict[str, str], body: str, status: int) -> None:
    sent = {"Content-Type": "application/json", **ACCEPTED, **headers}
    response = httpx2.request(method, f"{url}/mcp", headers=sent, content=body)
    assert response.status_code == status, response.text
    if status == 200:
        assert {tool["name"] for tool in response.json()["result"]["tools"]} == TOOLS


def test_what_the_library_refuses_is_told_as_every_other_error(url: str) -> None:
    """A body is refused by the length that it names, and by what comes."""
    sent = {"Authorization": f"Bearer {WHOLE}", "Content-Type": "application/json", **ACCEPTED}
    large = json.dumps({**PING, "x": "y" * MAX_BODY_BYTES}).encode()
    modern = {"MCP-Protocol-Version": "2026-07-28"}
    bodies: list[tuple[dict[str, str], Any, str]] = [
        ({}, large, "too_large"), ({}, iter([large[:1000], large[1000:]]), "too_large"),
        ({"Accept": "text/html", **modern}, json.dumps(PING), "not_acceptable"),
    ]  # fmt: skip
    for headers, body, kind in bodies:
        response = httpx2.post(f"{url}/mcp", headers={**sent, **headers}, content=body)
        error = response.json()["error"]
        assert (error["type"], response.headers["content-type"]) == (kind, "application/json")
        assert error["message"]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {**extras.EXTRAS, "mcp": "no-mcp-here"})
    with served(create_app(ports(database))) as address:
        response = httpx2.post(f"{address}/mcp", json=PING, headers=ACCEPTED)
    assert (response.status_code, response.json()["error"]["type"]) == (501, "not_installed")
    assert "pip install 'llm-metrics-proxy[mcp]'" in response.json()["error"]["message"]
