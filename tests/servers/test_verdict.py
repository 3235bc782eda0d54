"""Saturated or not, and by what: the thresholds that the page of servers documents."""

import pytest

from llm_metrics_proxy.servers.seen import AskingState
from llm_metrics_proxy.servers.verdict import ADVICE, advice_for, judge, with_queue


@pytest.mark.parametrize(
    ("totals", "level", "words"),
    [
        ({"waiting_high_share": 0.34, "waiting_max": 12}, "saturated", "for 34% of the time (at most 12)"),
        ({"waiting_high_share": 0.1, "waiting_max": 1}, "saturated", "for 10% of the time"),
        ({"waiting_high_share": 0.05, "waiting_max": 2}, "at_times", "Saturated at times: requests waited"),
        ({"waiting_high_share": 0.0, "waiting_max": 0}, "free", "Not saturated: no request waited in its queue."),
        ({"waiting_high_share": 0.002, "waiting_max": 1}, "free", "no request waited"),
        (
            {"kv_cache_ratio_high_share": 0.5, "kv_cache_ratio_max": 0.99},
            "saturated",
            "KV cache was over 90% full for 50%",
        ),
        ({"kv_cache_ratio_high_share": 0.0, "kv_cache_ratio_max": 0.45}, "free", "at most 45% full"),
        ({"slots_ratio_high_share": 0.2, "running_max": 4}, "saturated", "all 4 slots were busy for 20%"),
        ({"queue_ms": 900.0, "first_token_mean_ms": 1000.0}, "saturated", "90% of the wait for the first token"),
        ({"queue_ms": 90.0, "first_token_mean_ms": 100.0}, "free", "its queue took 90 ms"),
        ({"seen_queue_ms": 700.0, "first_token_mean_ms": 1000.0}, "saturated", "70% of the wait"),
        ({"preemptions": 3.0, "requests": 100.0}, "at_times", "put back 3 requests"),
        ({"running_mean": 3.0}, "unknown", "Not known"),
        ({}, "unknown", "Not known"),
    ],
)
def test_totals_are_judged(totals: dict[str, float | None], level: str, words: str) -> None:
    verdict = judge(with_queue(totals))
    assert verdict.level == level
    assert words in verdict.sentence


def test_the_worst_reason_decides_and_comes_first() -> None:
    verdict = judge({"waiting_high_share": 0.0, "kv_cache_ratio_high_share": 0.4, "kv_cache_ratio_max": 1.0})
    assert [(one.code, one.level) for one in verdict.reasons] == [("kv_cache", "saturated"), ("waiting", "free")]


@pytest.mark.parametrize(
    ("program", "state", "told", "advice"),
    [
        ("llama.cpp", "tells", {"/metrics": False, "/slots": True, "/props": True}, "llamacpp_metrics"),
        ("llama.cpp", "tells", {"/metrics": True, "/slots": False}, "llamacpp_slots"),
        ("llama.cpp", "tells", {"/metrics": True, "/slots": True}, None),
        ("SGLang", "tells_nothing", {"/metrics": False}, "sglang_metrics"),
        ("vLLM", "tells", {"/metrics": True}, None),
        ("Ollama", "tells", {"/api/ps": True}, "ollama_queue"),
        ("", "tells_nothing", {}, "no_page"),
        ("", "wants_key", {}, "key"),
    ],
)
def test_advice_says_what_would_make_it_tell_more(
    program: str, state: str, told: dict[str, bool], advice: str | None
) -> None:
    assert advice_for(program, AskingState(state), told) == advice
    assert advice is None or advice in ADVICE
