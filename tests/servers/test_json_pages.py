"""JSON pages of servers, and what else might stand there."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.servers import json_pages
from llm_metrics_proxy.servers.pages import PAGES
from llm_metrics_proxy.servers.readings import LoadedModel
from tests.servers import pages


def test_ollama_says_what_is_loaded_where_and_until_when() -> None:
    found: Any = json_pages.ollama_ps(pages.OLLAMA_PS)
    assert found.models == (
        LoadedModel("llama3.2:3b", 3957391360, 2957391360, 4096, "2026-11-29T20:05:00.123456789+01:00"),
    )
    assert found.gauges == {"models_loaded": 1, "vram_bytes": 2957391360, "model_bytes": 3957391360}


def test_an_ollama_without_models_has_none_loaded_which_is_no_silence() -> None:
    found: Any = json_pages.ollama_ps(b'{"models":null}')
    assert found.tells_models
    assert found.gauges == {"models_loaded": 0, "vram_bytes": 0, "model_bytes": 0}


@pytest.mark.parametrize("body", [pages.LLAMA_SLOTS, pages.LLAMA_SLOTS_OLD])
def test_busy_slots_are_counted(body: bytes) -> None:
    found: Any = json_pages.llama_slots(body)
    assert found.gauges == {"running": 1, "slots": 2}
    assert "secret" not in repr(found)


def test_props_name_the_model_and_its_context() -> None:
    found: Any = json_pages.llama_props(pages.LLAMA_PROPS)
    assert found.gauges == {"slots": 2}
    assert found.models == (LoadedModel("qwen3-8b.gguf", context_tokens=8192),)


@pytest.mark.parametrize(
    ("read", "body", "program", "models"),
    [
        (json_pages.lm_studio_v1, pages.LM_STUDIO_V1, "LM Studio", ["google/gemma-3-12b"]),
        (json_pages.lm_studio_v0, pages.LM_STUDIO_V0, "LM Studio", ["gemma-3-12b"]),
        (json_pages.llama_swap_running, pages.LLAMA_SWAP, "llama-swap", ["qwen3"]),
        (json_pages.localai_system, pages.LOCALAI, "LocalAI", ["phi-4"]),
    ],
)
def test_loaded_models_are_named(read: Any, body: bytes, program: str, models: list[str]) -> None:
    found = read(body)
    assert (found.program, [model.name for model in found.models]) == (program, models)
    assert found.gauges["models_loaded"] == len(models)


def test_koboldcpp_says_its_queue() -> None:
    found: Any = json_pages.koboldcpp_perf(pages.KOBOLD_PERF)
    assert found.gauges == {"running": 1, "waiting": 2}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["models", "data", "running", "id", "state", "queue", "idle", "loaded_models", "backends",
                             "loaded_instances", "name", "size", "size_vram", "total_slots", "config", "owned_by"]),
            inner, max_size=4,
        )
    ),
)  # fmt: skip


@given(_JSON)
def test_no_document_is_too_odd(document: Any) -> None:
    body = msgspec.json.encode(document)
    for page in PAGES:
        found = page.read(body)
        assert found is None or all(value >= 0 for value in found.gauges.values())


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd(body: bytes) -> None:
    assert all(page.read(body) is None for page in PAGES if page.path != "/metrics")


def test_one_program_s_page_is_no_other_s() -> None:
    bodies = {
        "Ollama": pages.OLLAMA_PS, "llama.cpp": pages.LLAMA_SLOTS, "LM Studio": pages.LM_STUDIO_V1,
        "KoboldCpp": pages.KOBOLD_PERF, "llama-swap": pages.LLAMA_SWAP, "LocalAI": pages.LOCALAI,
    }  # fmt: skip
    for program, body in bodies.items():
        found = {reading.program for page in PAGES if (reading := page.read(body)) is not None}
        assert found == {program}
