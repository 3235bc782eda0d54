"""What is left of servers' limits, over the API and for Prometheus."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.api.health import assess
from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.counters import CounterBook
from tests.analytics.database import Database, a_record, a_row
from tests.api.service import client
from tests.counting import count
from tests.quotas.test_book import CODEX, LIMITS, NOW, said

RATE = 0.125 / 17_940 * 3_599.5 / 3_600  # 12.5 % in 299 minutes, and nothing in the last half second


def test_prometheus_and_the_api_show_it(database: Database) -> None:
    book = CounterBook()
    count(book, said(**CODEX, **LIMITS))
    text, _ = Exposition(book).render(assess("4.5.0", None, [], 0), "", now=NOW + 1)
    samples = {
        (sample.name, sample.labels["limit"]): sample.value
        for family in text_string_to_metric_families(text.decode())
        if "quota" in family.name
        for sample in family.samples
        if sample.labels["backend"] == "b:1" and sample.labels["api_key_id"] == "k1"
    }
    assert samples == {
        ("llm_proxy_quota_left_ratio", "requests"): 0.4, ("llm_proxy_quota_left_ratio", "primary"): 0.875,
        ("llm_proxy_quota_left_ratio", "secondary"): 0.0, ("llm_proxy_quota_left", "requests"): 20,
        ("llm_proxy_quota_left", "tokens"): 900, ("llm_proxy_quota_reset_timestamp_seconds", "requests"): NOW + 2.5,
        ("llm_proxy_quota_burn_ratio_per_second", "primary"): pytest.approx(RATE),
        ("llm_proxy_quota_runs_out_timestamp_seconds", "primary"): pytest.approx(NOW + 1 + 0.875 / RATE),
        ("llm_proxy_quota_left_at_reset_ratio", "primary"): pytest.approx(0.875 - 59.5 * RATE),
        ("llm_proxy_quota_reset_timestamp_seconds", "primary"): NOW + 60.5,
        ("llm_proxy_quota_reset_timestamp_seconds", "secondary"): NOW + 300_000.5,
    }  # fmt: skip
    later, _ = Exposition(book).render(assess("4.5.0", None, [], 0), "", now=NOW + 1e6)
    assert b"llm_proxy_quota_left_ratio{" not in later
    answer = client(database, book=book, clock=lambda: NOW + 1).get("/api/v1/quotas").json()
    assert [each["limit"] for each in answer["quotas"]] == ["requests", "tokens", "primary", "secondary"]
    assert answer["quotas"][2] == {
        "backend": "b:1", "api_key_id": "k1", "limit": "primary", "left": None, "left_ratio": 0.875,
        "window_s": 18000.0, "measured_at": "2026-11-29T12:00:00.500Z", "resets_at": "2026-11-29T12:01:00.500Z",
        "began_at": "2026-11-29T07:01:00.500Z", "is_over": False, "verdict": "lasts",
        "text": "At this rate it lasts: 87% is left when it begins anew in 1 min.",
        "burn_ratio_per_h": pytest.approx(RATE * 3600), "burn_from": "samples",
        "runs_out_at": answer["quotas"][2]["runs_out_at"], "early_s": pytest.approx(59.5 - 0.875 / RATE),
        "left_at_reset_ratio": pytest.approx(0.875 - 59.5 * RATE), "requests": 0, "tokens": 0, "cost_usd": None,
        "samples": [{"at": "2026-11-29T12:00:00.500Z", "left_ratio": 0.875, "left": None}], "past": [],
    }  # fmt: skip
    assert answer["over"] == []


def test_a_window_that_began_anew_is_said_to_be_over(database: Database) -> None:
    book = CounterBook()
    count(book, said(**CODEX, **LIMITS))
    answer = client(database, book=book, clock=lambda: NOW + 61).get("/api/v1/quotas").json()
    assert [each["limit"] for each in answer["quotas"]] == ["tokens", "secondary"]
    (over,) = answer["over"]
    assert (over["limit"], over["left_ratio"], over["verdict"]) == ("primary", None, "unknown")
    assert over["past"] == [
        {"began_at": "2026-11-29T07:01:00.500Z", "resets_at": "2026-11-29T12:01:00.500Z", "used_ratio": 0.125}
    ]


def test_records_of_the_window_are_counted_by_server_and_key(database: Database) -> None:
    book = CounterBook()
    count(book, said(**CODEX))

    def add(at: str, backend: str = "b:1", key: str = "k1") -> None:
        record = a_record(timestamp=at, backend=backend, api_key_id=key, total_tokens=100)
        database.append([a_row(record, cost_usd=0.5)])

    add("2026-11-29T11:00:00.000000Z")
    add("2026-11-29T11:59:00.000000Z")
    add("2026-11-29T07:00:00.000000Z")  # before it began
    add("2026-11-29T11:00:00.000000Z", key="k2")
    add("2026-11-29T11:00:00.000000Z", backend="b:2")
    answer = client(database, book=book, clock=lambda: NOW + 1).get("/api/v1/quotas").json()
    primary = answer["quotas"][0]
    assert (primary["requests"], primary["tokens"], primary["cost_usd"]) == (2, 200, 1.0)
