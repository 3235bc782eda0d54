from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.mcp_server.arguments import SELECTION, chosen, parameters, read_arguments
from llm_metrics_proxy.mcp_server.tools import TOOLS, ask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def asked(tool: str, **given: Any) -> tuple[str, list[tuple[str, str]]]:
    found, _ = ask(TOOLS[tool], given, NOW)
    return found.path, found.parameters


def test_without_since_it_is_the_last_day() -> None:
    assert asked("summary") == ("summary", [("start", "2026-02-28T12:00:00+00:00")])
    assert asked("summary", since="all") == ("summary", [])


def test_a_range_of_its_own_has_both_ends() -> None:
    shown = chosen(read_arguments(SELECTION, {"since": "3h"}), NOW)
    assert (shown.span, shown.end) == (None, NOW)
    found = dict(parameters(chosen(read_arguments(SELECTION, {"since": "7d", "until": "1d"}), NOW)))
    assert found["end"] == (NOW - timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("given", "parameter", "value"),
    [
        ({"metrics": ["requests", "cost_usd"]}, "metrics", "requests,cost_usd"),
        ({"metrics": "requests, cost_usd"}, "metrics", "requests,cost_usd"),
        ({"by": "model"}, "group_by", "model"),
        ({"where": "model=a,b"}, "where", "model=a,b"),
        ({"where": ["success=false"]}, "where", "success=false"),
        ({"limit": "7"}, "limit", "7"),
        ({"limit": 7.0}, "limit", "7"),
        ({"bucket": "hour", "by": ["time"]}, "bucket", "hour"),
        ({"order": None}, "limit", "20"),
    ],
)
def test_what_is_meant_is_taken(given: dict[str, Any], parameter: str, value: str) -> None:
    assert (parameter, value) in asked("query", **given)[1]


@pytest.mark.parametrize(
    ("tool", "given", "message"),
    [
        ("query", {"metric": "requests"}, "there is no argument 'metric'; did you mean metrics"),
        ("query", {"limit": 0}, "limit must be from 1 to 100; it is 0"),
        ("query", {"limit": "many"}, "limit must be a whole number"),
        ("query", {"limit": True}, "limit must be a whole number"),
        ("query", {"metrics": 3}, "metrics must be a list of texts"),
        ("query", {"metrics": [{}]}, "must be a text of 1 to"),
        ("query", {"bucket": "fortnight"}, "there is no bucket 'fortnight'"),
        ("summary", {"since": "yesterday"}, "or give an age such as 24h"),
        ("summary", {"since": 24}, "since must be a text"),
        ("sessions", {"order": "beauty"}, "there is no order 'beauty'"),
        ("compare", {"since": "all"}, "this one must begin"),
        ("what_changed", {"since": "all"}, "this one must begin"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(tool: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        asked(tool, **given)


def test_one_session_is_asked_for_by_its_id() -> None:
    assert asked("sessions", session_id="a/b c") == ("sessions/a%2Fb%20c/", [("limit", "10")])
    assert asked("sessions", order="cost_usd")[1][0] == ("order", "-cost_usd")
    assert asked("slowest_requests", column="total_tokens", limit=3)[1][:2] == [
        ("order", "-total_tokens"), ("limit", "3"),
    ]  # fmt: skip
