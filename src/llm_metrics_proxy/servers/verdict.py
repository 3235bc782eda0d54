"""Is it saturated, and by what? The thresholds are the table below; ``docs/topics/servers.md`` explains them. Pure."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.servers.seen import AskingState

OFTEN: Final = 0.1  # of the time, or of the requests: saturated
SOMETIMES: Final = 0.01  # at times
QUEUE_SHARE: Final = 0.5  # of the wait for the first token
LEAST_QUEUE_MS: Final = 250.0  # a shorter wait nobody notices

SATURATED, AT_TIMES, FREE, UNKNOWN = "saturated", "at_times", "free", "unknown"


class VerdictReason(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that speaks for or against. ``share``: of the time, or of the first token's wait; ``most``: the
    greatest value seen."""

    code: str  # waiting, kv_cache, slots, preemptions, queue
    level: str  # saturated, at_times, free
    share: float | None
    most: float | None


class SaturationVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """``level`` is the worst of the reasons; ``unknown`` without any. ``sentence`` says it to people."""

    level: str
    reasons: list[VerdictReason]
    sentence: str


Totals = Mapping[str, float | None]


class _VerdictRule(NamedTuple):
    """``share`` and ``most`` are names of totals; from ``often`` on it is saturated, from ``sometimes`` on at times."""

    code: str
    share: str
    most: str
    often: float
    sometimes: float
    says: Callable[[float, float | None], str]
    free: Callable[[float | None], str]


def _percent(share: float) -> str:
    return "less than 1%" if 0 < share < 0.01 else f"{share:.0%}"


_RULES: Final = (
    _VerdictRule(
        "waiting", "waiting_high_share", "waiting_max", OFTEN, SOMETIMES,
        lambda share, most: f"requests waited in its queue for {_percent(share)} of the time (at most {most or 0:.0f})",
        lambda _: "no request waited in its queue",
    ),
    _VerdictRule(
        "kv_cache", "kv_cache_ratio_high_share", "kv_cache_ratio_max", OFTEN, SOMETIMES,
        lambda share, most: (
            f"its KV cache was over 90% full for {_percent(share)} of the time (at most {most or 0:.0%})"
        ),
        lambda most: f"its KV cache was at most {most or 0:.0%} full",
    ),
    _VerdictRule(
        "slots", "slots_ratio_high_share", "running_max", OFTEN, SOMETIMES,
        lambda share, most: f"all {most or 0:.0f} slots were busy for {_percent(share)} of the time",
        lambda most: f"at most {most or 0:.0f} of its slots were busy",
    ),
    _VerdictRule(
        "queue", "queue_share", "queue_ms", QUEUE_SHARE, 0.2,
        lambda share, most: f"{_percent(share)} of the wait for the first token was its queue ({most or 0:,.0f} ms)",
        lambda most: f"its queue took {most or 0:,.0f} ms before the first token",
    ),
    _VerdictRule(
        "preemptions", "preemptions_per_request", "preemptions", OFTEN, 1e-9,
        lambda _, most: f"it put back {most or 0:,.0f} requests because the KV cache was full",
        lambda _: "it put no request back",
    ),
)  # fmt: skip
_WORST: Final = (SATURATED, AT_TIMES, FREE)
_BEGIN: Final = {SATURATED: "Saturated: ", AT_TIMES: "Saturated at times: ", FREE: "Not saturated: "}
_SILENT: Final = "Not known: it tells nothing about its queue or its KV cache."


def judge(totals: Totals) -> SaturationVerdict:
    """By the totals of a range; those that are not known do not count."""
    reasons: list[VerdictReason] = []
    said: dict[str, list[str]] = {level: [] for level in _WORST}
    for rule in _RULES:
        share, most = totals.get(rule.share), totals.get(rule.most)
        if share is None:
            continue
        level = SATURATED if share >= rule.often else AT_TIMES if share >= rule.sometimes else FREE
        if rule.code == "queue" and (most or 0) < LEAST_QUEUE_MS:
            level = FREE
        reasons.append(VerdictReason(code=rule.code, level=level, share=share, most=most))
        said[level].append(rule.free(most) if level == FREE else rule.says(share, most))
    worst = next((level for level in _WORST if said[level]), UNKNOWN)
    if worst == UNKNOWN:
        return SaturationVerdict(level=UNKNOWN, reasons=[], sentence=_SILENT)
    reasons.sort(key=lambda reason: _WORST.index(reason.level))
    return SaturationVerdict(level=worst, reasons=reasons, sentence=_BEGIN[worst] + "; ".join(said[worst]) + ".")


def with_queue(totals: Totals) -> dict[str, float | None]:
    """What the rules need that follows from others: the queue's share of the first token's wait, by the server's own
    count or else as it is seen from here, and preemptions per request."""
    own, seen, first = totals.get("queue_ms"), totals.get("seen_queue_ms"), totals.get("first_token_mean_ms")
    queue = seen if own is None else own
    put_back, requests = totals.get("preemptions"), totals.get("requests")
    return {
        **totals,
        "queue_ms": queue,
        "queue_share": min(1.0, queue / first) if queue is not None and first else None,
        "preemptions_per_request": None if put_back is None or not requests else put_back / requests,
    }


# What would make a server tell more, by code; the dashboard says it in eight languages.
ADVICE: Final[Mapping[str, str]] = {
    "llamacpp_metrics": "start llama-server with --metrics, so that it tells its queue",
    "llamacpp_slots": "start llama-server with --slots, so that it tells how many it can serve at once",
    "sglang_metrics": "start SGLang with --enable-metrics",
    "vllm_metrics": "start vLLM without --disable-log-stats, and let /metrics through",
    "triton_metrics_url": "set metrics_url in its table [[backends]]: Triton has its page at port 8002 of its own",
    "ollama_queue": "Ollama tells which models are loaded, but neither its queue nor what runs",
    "no_page": "it has no page that is known: see docs/topics/servers.md for what each server needs",
    "key": "its page wants a key: set api_key_env in its table [[backends]]",
    "remote": "its address is remote, and remote servers are not asked: set server_metrics = true in its table",
    "off": "asking is switched off by the setting server_metrics",
}
_BY_PROGRAM: Final = {"SGLang": "sglang_metrics", "vLLM": "vllm_metrics", "TensorRT-LLM": "no_page"}


def advice_for(program: str, state: AskingState, told: Mapping[str, bool]) -> str | None:
    """A code of ``ADVICE``; ``None`` if it tells all that its kind can. ``told``: by path of what was asked."""
    if state is AskingState.WANTS_KEY:
        return "key"
    if program == "llama.cpp":
        metrics = any(told.get(path, False) for path in told if path not in {"/slots", "/props", "/v1/models"})
        return "llamacpp_metrics" if not metrics else None if told.get("/slots", True) else "llamacpp_slots"
    if program == "Ollama":
        return "ollama_queue"
    if state is AskingState.TELLS_NOTHING:
        return _BY_PROGRAM.get(program, "no_page")
    return None
