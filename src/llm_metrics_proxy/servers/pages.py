"""The pages by which a server may tell of itself, in the order in which they are tried. Pure."""

from collections.abc import Callable
from typing import Final, NamedTuple

from llm_metrics_proxy.servers import json_pages
from llm_metrics_proxy.servers.programs import PROGRAMS, read_metrics
from llm_metrics_proxy.servers.readings import ServerReading


class ServerPage(NamedTuple):
    """``programs``: who has it; once one of them is known, pages of others are not asked. ``rarely``: what it says
    hardly changes."""

    path: str
    read: Callable[[bytes], ServerReading | None]
    programs: frozenset[str]
    rarely: bool = False


_EXPOSING: Final = frozenset(program.program for program in PROGRAMS)
METRICS: Final = ServerPage("/metrics", read_metrics, _EXPOSING)
PAGES: Final = (
    METRICS,
    ServerPage("/api/ps", json_pages.ollama_ps, frozenset({"Ollama"})),
    ServerPage("/slots", json_pages.llama_slots, frozenset({"llama.cpp"})),
    ServerPage("/props", json_pages.llama_props, frozenset({"llama.cpp"}), rarely=True),
    ServerPage("/running", json_pages.llama_swap_running, frozenset({"llama-swap"})),
    ServerPage("/api/v1/models", json_pages.lm_studio_v1, frozenset({"LM Studio"})),
    ServerPage("/api/v0/models", json_pages.lm_studio_v0, frozenset({"LM Studio"})),
    ServerPage("/api/extra/perf", json_pages.koboldcpp_perf, frozenset({"KoboldCpp"})),
    ServerPage("/system", json_pages.localai_system, frozenset({"LocalAI"})),
    ServerPage("/prometheus/metrics", read_metrics, frozenset({"TensorRT-LLM"})),
    ServerPage("/v1/metrics", read_metrics, frozenset({"NIM"})),
    ServerPage("/v1/models", json_pages.owner, frozenset(), rarely=True),  # asked until the program is known
)


def pages_at(metrics_url: str | None) -> tuple[ServerPage, ...]:
    """Those of a server whose settings name the page: that one first."""
    return PAGES if metrics_url is None else (METRICS._replace(path=metrics_url), *PAGES[1:])
