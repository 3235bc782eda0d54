"""What is left of servers' limits, over the API and for Prometheus."""

from prometheus_client.parser import text_string_to_metric_families

from llm_metrics_proxy.api.health import assess
from llm_metrics_proxy.api.prometheus import Exposition
from llm_metrics_proxy.counters import CounterBook
from tests.analytics.database import Database
from tests.api.service import client
from tests.counting import count
from tests.test_quotas import CODEX, LIMITS, NOW, said


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
    }  # fmt: skip
