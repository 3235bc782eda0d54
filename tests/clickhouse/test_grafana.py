"""Grafana's dashboard for ClickHouse: every statement, run by the engine over records as this program stores them.

The macros are written out as the plugin (grafana-clickhouse-datasource 4.x, ``pkg/macros``) writes them.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from tools import grafana_clickhouse, make_dashboard

from llm_metrics_proxy.record import ROW_COLUMNS
from tests.analytics.database import NOON, a_record, a_row
from tests.clickhouse.pair import connected, store
from tests.clickhouse.server import ClickHouseServer, new_database, statement

pytestmark = pytest.mark.system
_FROM, _TO = (int((NOON + timedelta(hours=hours)).timestamp()) for hours in (-1, 1))
_INTERVAL_S: Final = 60
PANELS: Final = [
    (panel["title"], panel["type"], target["rawSql"])
    for panel in make_dashboard.documents()[make_dashboard.CLICKHOUSE_FILE]["panels"]
    for target in panel.get("targets", ())
]


def as_the_plugin_asks(sql: str, **chosen: str) -> str:
    """``chosen``: the value of a variable; of the others all are."""

    def conditional(match: re.Match[str]) -> str:
        condition, name = match[1], match[2]
        return condition.replace(f"${{{name}:singlequote}}", f"'{chosen[name]}'") if name in chosen else "1=1"

    sql = re.sub(r"\$__conditionalAll\((.*?), \$(\w+)\)", conditional, sql)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= toDateTime({_FROM}) AND \1 <= toDateTime({_TO})", sql)
    sql = re.sub(
        r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {_INTERVAL_S} second)", sql
    )
    sql = sql.replace("$__interval_s", str(_INTERVAL_S))
    assert "$" not in sql, sql
    return sql


def rows_of(number: int, **facts: Any) -> tuple[Any, ...]:
    """One that has something in every column that a panel reads, unless ``facts`` say otherwise."""
    category = "limit" if facts.get("error_type") else None
    record = a_record(
        number,
        **{
            "app": "claude-cli", "user": "anna", "session_id": "s-1", "agent_id": "x", "api_key_id": "k",
            "cached_tokens": 4, "usage_source": "reported", "trace_id": "a" * 32,
            "quota_primary_used_percent": 12.5, "quota_secondary_used_percent": 50.0, **facts,
        },
    )  # fmt: skip
    row = dict(zip(ROW_COLUMNS, a_row(record, error_category=category, cost_usd=0.5), strict=True))
    row |= {"cache_savings_usd": 0.25, "backend_busy_ms": 1000.0, "time_per_output_token_ms": 10.0}
    return tuple(row[name] for name in ROW_COLUMNS)


class Asked:
    """What a statement of the dashboard answers."""

    def __init__(self, server: ClickHouseServer, database: str) -> None:
        self._server, self.database = server, database

    def __call__(self, sql: str) -> tuple[dict[str, str], list[list[Any]]]:
        """Types by column, and rows; as a user who can only read."""
        asked = sql.replace(f"FROM {grafana_clickhouse.TABLE}", f"FROM {self.database}.{grafana_clickhouse.TABLE}")
        document = json.loads(statement(self._server, f"{asked}\nSETTINGS readonly = 1\nFORMAT JSONCompact"))
        return {column["name"]: column["type"] for column in document["meta"]}, document["data"]


@pytest.fixture(scope="module")
def ask(clickhouse: ClickHouseServer) -> Iterator[Asked]:
    """One database for all of these tests: they only read."""
    failed: dict[str, Any] = {"success": False, "outcome": "upstream_error", "error_type": "rate_limit"}
    rows = [
        rows_of(0),
        rows_of(1, model="gpt-4o"),
        rows_of(2, **failed),
        rows_of(3, usage_source="repeated"),
        rows_of(4, cached_tokens=None, session_id=None, app=None, user=None),
        rows_of(7200, model="tomorrow"),
    ]
    database = new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    with connected(clickhouse.url(database)) as connection:
        store(connection, rows, 1, "one")
    yield Asked(clickhouse, database)
    statement(clickhouse, f"DROP DATABASE {database}")


@pytest.mark.parametrize(("title", "kind", "sql"), PANELS, ids=[f"{n}-{panel[0]}" for n, panel in enumerate(PANELS)])
def test_every_statement_has_an_answer_of_the_shape_that_its_panel_needs(
    title: str, kind: str, sql: str, ask: Asked
) -> None:
    types, rows = ask(as_the_plugin_asks(sql))
    assert rows, title
    if kind == "timeseries":
        assert list(types) == ["time", "series", "value"]
        assert types["time"].startswith("DateTime")
        assert types["series"].removeprefix("LowCardinality(").startswith("String"), "a line without a name"
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert all(isinstance(row[2], int | float) for row in rows), rows
    elif kind == "stat":
        assert (len(types), len(rows)) == (1, 1)
        assert float(rows[0][0]) >= 0
    chosen, _ = ask(as_the_plugin_asks(sql, model="gpt-4o", app="claude-cli", host="one"))
    assert chosen == types
    _, nothing = ask(as_the_plugin_asks(sql, model="no such model"))
    assert kind == "stat" or nothing == []


def test_the_numbers_are_those_that_the_records_give(ask: Asked) -> None:
    def number(title: str) -> float:
        (sql,) = (sql for name, kind, sql in PANELS if (name, kind) == (title, "stat"))
        ((value,),) = ask(as_the_plugin_asks(sql))[1]
        return float(value)

    assert number("Requests") == 5  # not the one of later
    assert number("Completed") == 0.8
    assert number("Cost") == 2.0  # 0.5 of each, without the one that another record counts
    assert number("Tokens") == 4 * 111
    assert number("Read from prompt caches") == 0.4  # 4 of 10, of those that say it
    assert number("Time to first token, p95") == 120


def test_the_variables_offer_what_there_is(ask: Asked) -> None:
    offered = {variable.name: [row[0] for row in ask(variable.query)[1]] for variable in grafana_clickhouse.VARIABLES}
    assert offered == {"model": ["gpt-4o", "llama3.1:8b", "tomorrow"], "app": ["claude-cli"], "host": ["one"]}


def test_a_links_field_is_a_column_of_its_panel(ask: Asked) -> None:
    for panel in make_dashboard.documents()[make_dashboard.CLICKHOUSE_FILE]["panels"]:
        named = {each["matcher"]["options"] for each in panel.get("fieldConfig", {}).get("overrides", [])}
        if named:
            (target,) = panel["targets"]
            types, _ = ask(as_the_plugin_asks(target["rawSql"]))
            links = {"session", "request"} if "links" in json.dumps(panel["fieldConfig"]) else set()
            assert named & types.keys() >= links & types.keys()
            assert named & types.keys(), panel["title"]
