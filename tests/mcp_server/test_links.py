from datetime import UTC, datetime

import pytest

from llm_metrics_proxy.mcp_server.links import ShownRecords, explored, link

BASE = "http://localhost:8002/llm/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (ShownRecords("24h", NOON, None), ""),
        (ShownRecords("7d", NOON, None), "?range=7d"),
        (ShownRecords(None, None, None), "?range=all"),
        (
            ShownRecords(None, NOON, NOON.replace(hour=13)),
            "?range=2026-03-01T12%3A00%3A00.000000Z..2026-03-01T13%3A00%3A00.000000Z",
        ),
        (
            ShownRecords("24h", NOON, None, ("model=a,b", "user!=x=y", "response_time_ms>5000", "cost_usd>=1")),
            "?model=a%2Cb&user%21=x%3Dy&response_time_ms%3E5000=&cost_usd%3E=1",
        ),
    ],
)
def test_a_link_carries_range_and_conditions_as_the_dashboard_reads_them(shown: ShownRecords, words: str) -> None:
    assert link(BASE, "errors", shown) == f"{BASE}errors{words}"


def test_explore_shows_what_was_asked() -> None:
    more = explored(["response_time_ms.p95", "requests"], ["time", "model"], compare=False, bucket="hour")
    address = link(BASE, "explore", ShownRecords("7d", NOON, None), more)
    assert address == f"{BASE}explore?range=7d&metric=response_time_ms.p95&by=model&bucket=hour"
    more = explored(["requests"], ["model", "user", "app"], compare=True, bucket=None)
    assert more == {"metric": "requests", "by": "model", "and": "user", "as": "ranking", "bucket": None,
                    "compare": "true"}  # fmt: skip
