"""Every server's page says what it says, under all the names that it has had."""

from typing import Any

import pytest

from llm_metrics_proxy.servers.programs import read_metrics
from tests.servers import pages


@pytest.mark.parametrize(
    ("page", "program", "gauges", "counters", "models"),
    [
        (
            pages.VLLM_V1, "vLLM", {"running": 9, "waiting": 2, "kv_cache_ratio": 0.9375},
            {
                "prefix_queries": 1000, "prefix_hits": 250, "preemptions": 3, "prompt_tokens": 81289,
                "generation_tokens": 1_200_000, "queue_s": 4.5, "queued": 10,
            }, ["Qwen/Qwen3-8B"],
        ),
        # -1: not known
        (
            pages.VLLM_V0, "vLLM", {"running": 8, "waiting": 1, "kv_cache_ratio": 0.61}, {},
            ["meta-llama/Llama-3.1-8B"],
        ),
        (pages.RAY, "vLLM", {"running": 1, "waiting": 0, "kv_cache_ratio": 0.02}, {}, ["m"]),
        (
            pages.NIM, "NIM", {"running": 2, "waiting": 0, "kv_cache_ratio": 0.11}, {"prompt_tokens": 6},
            ["meta/llama-3.1-8b-instruct"],
        ),
        (
            pages.SGLANG, "SGLang",
            {"running": 12, "waiting": 3, "kv_cache_ratio": 0.28, "prefix_cache_ratio": 0.0075},
            {"generation_tokens": 7_557_572}, ["Qwen/Qwen3-32B"],
        ),
        (
            pages.LLAMA_CPP, "llama.cpp", {"running": 1, "waiting": 2, "kv_cache_ratio": 0.4},
            {"prompt_tokens": 6886, "generation_tokens": 3469}, [],
        ),
        (
            pages.TGI, "TGI", {"running": 16, "waiting": 4},
            {"generation_tokens": 1200, "queue_s": 0.5, "queued": 10}, [],
        ),
        (
            pages.TRITON, "Triton", {"running": 11, "waiting": 5, "kv_cache_ratio": 0.75},
            {"queue_s": 2.0, "queued": 40}, ["tensorrt_llm", "ensemble"],
        ),
        (
            pages.TENSORRT_LLM, "TensorRT-LLM", {"running": 3, "waiting": 1, "kv_cache_ratio": 0.33}, {}, ["m"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_page_is_understood(
    page: bytes, program: str, gauges: dict[str, float], counters: dict[str, float], models: list[str]
) -> None:
    found: Any = read_metrics(page)
    assert found.program == program
    assert found.gauges == pytest.approx(gauges)
    assert found.counters == pytest.approx(counters)
    assert [model.name for model in found.models] == models


def test_a_triton_that_hands_on_vllms_words_is_read_by_those() -> None:
    found: Any = read_metrics(pages.VLLM_V1 + b'nv_inference_pending_request_count{model="m",version="1"} 0\n')
    assert found.program == "vLLM"
    assert found.gauges["waiting"] == 2


def test_several_models_of_one_server_add_up_and_the_fullest_cache_counts() -> None:
    page = b"".join(
        b'vllm:num_requests_running{model_name="m%d"} %d\nvllm:kv_cache_usage_perc{model_name="m%d"} 0.%d\n'
        % (n, n, n, n)
        for n in range(1, 4)
    )
    found: Any = read_metrics(page)
    assert found.gauges == {"running": 6, "kv_cache_ratio": 0.3}
    assert [model.name for model in found.models] == ["m1", "m2", "m3"]


def test_labels_that_never_end_make_no_endless_list_of_models() -> None:
    page = b"".join(b'vllm:num_requests_running{model_name="m%d"} 1\n' % n for n in range(20_000))
    found: Any = read_metrics(page)
    assert found.gauges["running"] == 5_000
    assert len(found.models) == 32


@pytest.mark.parametrize(
    "page",
    [b"", b"<html>no</html>", b"\x00\xff\xfe" * 999, b'{"models": []}', b"vllm:num_requests_running NaN\n",
     b"vllm:kv_cache_usage_perc 4.5\n", b"vllm:num_requests_running -1\n", b"llm_proxy_requests_total 4\n"],
)  # fmt: skip
def test_what_is_no_such_page_says_nothing(page: bytes) -> None:
    assert read_metrics(page) is None
