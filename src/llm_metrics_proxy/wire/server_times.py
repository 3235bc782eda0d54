"""Durations that servers measure themselves, in milliseconds. They stand next to ours and never replace them.

Sources: Ollama's API reference (nanoseconds); llama.cpp, ``tools/server/README.md``, ``timings`` (milliseconds); LM
Studio's REST API reference, ``stats`` (seconds); SGLang's ``meta_info`` (seconds); Amazon Bedrock's API reference,
``latencyMs``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

MAX_DURATION_MS: Final = 1e11  # three years: more is nonsense

_NS_PER_MS: Final = 1e6
_MS_PER_S: Final = 1000


ServerTimes = Mapping[str, float] | None  # by the record's column; None: the server measured nothing


def ollama_times(total: object, load: object, prompt_eval: object, evaluation: object) -> ServerTimes:
    """From an answer's ``total_duration``, ``load_duration``, ``prompt_eval_duration`` and ``eval_duration``."""
    return _known(
        server_total_ms=_milliseconds(total, 1 / _NS_PER_MS),
        server_load_ms=_milliseconds(load, 1 / _NS_PER_MS),
        server_prompt_ms=_milliseconds(prompt_eval, 1 / _NS_PER_MS),
        server_generation_ms=_milliseconds(evaluation, 1 / _NS_PER_MS),
    )


def openai_times(timings: object, stats: object) -> ServerTimes:
    """From llama.cpp's ``timings``, else from LM Studio's ``stats``.

    LM Studio's ``time_to_first_token`` is left out: it holds more than the prompt's evaluation.
    """
    if timings is None and stats is None:
        return None  # nearly always
    if isinstance(timings, Mapping):
        return _known(
            server_prompt_ms=_milliseconds(timings.get("prompt_ms"), 1),
            server_generation_ms=_milliseconds(timings.get("predicted_ms"), 1),
        )
    if isinstance(stats, Mapping):
        return _known(server_generation_ms=_milliseconds(stats.get("generation_time"), _MS_PER_S))
    return None


def lmstudio_times(stats: object) -> ServerTimes:
    """From the ``stats`` of LM Studio's own chat: how long the model took to load, if it was not there yet."""
    if isinstance(stats, Mapping):
        return _known(server_load_ms=_milliseconds(stats.get("model_load_time_seconds"), _MS_PER_S))
    return None


def sglang_times(metas: Sequence[Mapping[str, Any]]) -> ServerTimes:
    """From ``e2e_latency`` (seconds) in the ``meta_info`` of each answer of a request: the longest."""
    totals = [_milliseconds(meta.get("e2e_latency"), _MS_PER_S) for meta in metas]
    return _known(server_total_ms=max((total for total in totals if total is not None), default=None))


def total_time(total: object) -> ServerTimes:
    """From milliseconds: ``x-total-time`` of TGI and TEI, ``latencyMs`` and ``invocationLatency`` of Bedrock."""
    return _known(server_total_ms=_milliseconds(total, 1))


def _known(**times: float | None) -> ServerTimes:
    return {name: time_ms for name, time_ms in times.items() if time_ms is not None} or None


def timings_usage(timings: object) -> dict[str, Any] | None:
    """What llama.cpp's ``timings`` say of tokens, as a ``usage`` object; None if nothing.

    ``prompt_n`` leaves out what came from the cache, so without ``cache_n`` (older builds) the prompt is not known.
    """
    if not isinstance(timings, Mapping):
        return None
    evaluated, cached, generated = timings.get("prompt_n"), timings.get("cache_n"), timings.get("predicted_n")
    prompt = None
    if isinstance(evaluated, int) and isinstance(cached, int) and evaluated >= 0 and cached >= 0:
        prompt = evaluated + cached
    if prompt is None and generated is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _milliseconds(value: object, factor: float) -> float | None:
    """``value`` times ``factor``; None if it is not a duration (llama.cpp gives -1 for what it did not measure)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    duration_ms = value * factor if -1e30 < value < 1e30 else -1.0
    return round(duration_ms, 6) if 0 <= duration_ms <= MAX_DURATION_MS else None
