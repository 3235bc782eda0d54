"""A day of traffic as a team has it, the same in every run but for the clock: what the dashboard is shown with.

    python -m tests.browser.records metrics.db 6000

Days have mornings and evenings, models differ in speed, and half an hour of the day goes wrong.
"""

import itertools
import math
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.analytics.filters import stored_time
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.sqlite import SqliteStore

DAY_S: Final = 86_400
BATCH: Final = 2_000
# The Trojan source of names: markup, text that runs backwards, what cannot be seen, and more of it than fits anywhere.
HOSTILE: Final = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "safe\u202egnp.exe\u202c\u2066\u2069",
    "🧑‍🚀🦙" * 40,
    "bell\x07 tab\t zero-width\u200b\ufeff newline\n\x1b[31mred",
    "W" * 10_000,
)


class Model(NamedTuple):
    """How one model behaves; ``weight`` is its share of the traffic."""

    name: str
    weight: float
    first_token_ms: float
    tokens_per_s: float
    answer_tokens: int


MODELS: Final = (
    Model("llama3.1:8b-instruct", 46, 180, 92, 210),
    Model("qwen2.5-coder:32b", 27, 420, 38, 340),
    Model("mistral-small:24b", 16, 310, 55, 180),
    Model("gpt-4o-mini", 11, 510, 74, 150),
)
ORIGINS: Final = (("ide-plugin", 44), ("support-bot", 31), ("nightly-batch", 15), ("https://chat.example", 10))
FAILURES: Final[tuple[tuple[float, dict[str, Any]], ...]] = (
    (4, {"outcome": "upstream_error", "status_code": 429, "error_message": "Rate limit reached: 60 requests a minute",
         "retry_after_ms": 20_000.0}),
    (3, {"outcome": "upstream_error", "status_code": 503, "error_message": "the model is loading"}),
    (2, {"outcome": "client_disconnected", "status_code": 499}),
    (2, {"outcome": "upstream_error", "status_code": 400, "error_message":
         "This model's maximum context length is 8192 tokens. However, your messages resulted in 9120 tokens."}),
    (1, {"outcome": "upstream_timeout", "status_code": 504, "error_message": "no first byte within 120 s"}),
)  # fmt: skip


def _busy(day_fraction: float) -> float:
    """How busy an hour is, from 0.15 at night to 1 in the afternoon."""
    return 0.15 + 0.85 * math.pow(max(0.0, math.sin((day_fraction - 0.27) * math.pi / 0.62)), 0.7)


def _moments(chosen: random.Random, many: int, end: datetime) -> Iterator[datetime]:
    """``many`` moments of the day before ``end``, not in order."""
    while many:
        at = end - timedelta(seconds=chosen.random() * DAY_S)
        fraction = (at.hour + at.minute / 60) / 24
        if 0.27 < fraction < 0.89 and chosen.random() > _busy(fraction):
            continue
        if not 0.27 < fraction < 0.89 and chosen.random() > 0.15:
            continue
        many -= 1
        yield at


def _answered(chosen: random.Random, model: Model, streaming: bool) -> dict[str, Any]:
    prompt = int(chosen.lognormvariate(6.6, 0.8))
    answer = int(chosen.lognormvariate(math.log(model.answer_tokens), 0.6))
    first = model.first_token_ms * chosen.lognormvariate(0, 0.35) + prompt / 12
    last = first + answer * 1000 / (model.tokens_per_s * chosen.lognormvariate(0, 0.15))
    facts: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer,
        "usage_source": "reported", "finish_reason": "stop" if chosen.random() > 0.06 else "length",
        "response_headers_ms": first * 0.6, "response_bytes": answer * (190 if streaming else 5),
        "upstream_cost_usd": (prompt * 0.15 + answer * 0.6) / 1e6, "response_time_ms": last + 4,
    }  # fmt: skip
    if streaming:
        facts |= {
            "time_to_first_byte_ms": first * 0.97, "time_to_first_token_ms": first, "time_to_last_token_ms": last,
            "time_to_first_output_ms": first, "inter_chunk_max_ms": 1000 / model.tokens_per_s * chosen.uniform(2, 9),
            "content_chunks": answer,
        }  # fmt: skip
    else:
        facts["time_to_first_byte_ms"] = last + 2
    return facts


def a_day(many: int, end: datetime, seed: int = 7) -> Iterator[RequestRecord]:
    """``many`` records of the day before ``end``, in order of time."""
    chosen = random.Random(seed)
    for number, at in enumerate(sorted(_moments(chosen, many, end)), 1):
        model = chosen.choices(MODELS, [each.weight for each in MODELS])[0]
        origin = chosen.choices([name for name, _ in ORIGINS], [share for _, share in ORIGINS])[0]
        streaming = origin != "nightly-batch" and chosen.random() < 0.85
        since = (end - at).total_seconds()
        troubled = 4.0 * 3600 < since < 4.6 * 3600 and model.name.startswith("qwen")
        facts: dict[str, Any] = {"success": True, "outcome": "completed", "status_code": 200}
        if chosen.random() < (0.55 if troubled else 0.018):
            kind = chosen.choices(FAILURES, [weight for weight, _ in FAILURES])[0][1]
            facts = {"success": False, "response_time_ms": chosen.uniform(20, 900), **kind}
            facts["upstream_status_code"] = facts["status_code"] if facts["outcome"] == "upstream_error" else None
        else:
            facts |= {"upstream_status_code": 200, **_answered(chosen, model, streaming)}
        yield RequestRecord(
            request_id=f"{seed:04x}{number:028x}", timestamp=stored_time(at), method="POST",
            endpoint="/v1/chat/completions", dialect="openai_chat", backend="127.0.0.1:8000",
            backend_name=f"gpu-{1 + number % 2}", model=model.name, response_model=model.name,
            origin=origin, user=f"user-{chosen.randint(1, 30)}", attempts=1,
            user_agent="OpenAI/Python 2.1", api_key_id=f"{chosen.randint(1, 5) * 7919:012x}", is_streaming=streaming,
            request_bytes=chosen.randint(400, 20_000), body_complete_ms=chosen.uniform(0.1, 1.2),
            upstream_acquired_ms=1.3, request_sent_ms=1.6, proxy_overhead_ms=chosen.lognormvariate(-1.2, 0.4),
            message_count=chosen.randint(1, 12), tags=f"team={chosen.choice(('search', 'docs', 'mobile'))}", **facts,
        )  # fmt: skip


def hostile(end: datetime) -> Iterator[RequestRecord]:
    """Records whose words were chosen to do harm, all of them failed, so that their message shows, too."""
    for number, words in enumerate(HOSTILE, 1):
        yield RequestRecord(
            request_id=f"{number:031x}f", timestamp=stored_time(end - timedelta(minutes=number)), method="POST",
            endpoint="/v1/chat/completions", dialect="openai_chat", backend="127.0.0.1:8000", model=words[:256],
            origin=words[:256], user=words[:256], user_agent=words[:256], tags=None, is_streaming=True, success=False,
            outcome="upstream_error", status_code=500, upstream_status_code=500, error_message=words[:500],
            response_time_ms=50.0, attempts=1,
        )  # fmt: skip


def _row(record: RequestRecord) -> Sequence[SqlValue]:
    cost = record.upstream_cost_usd  # the upstream's own word is what the pricer takes first
    return to_row(record, (cost, None if cost is None else "upstream", None))


def write(path: Path, records: Iterator[RequestRecord]) -> None:
    """Into a database of this version, new or not."""
    store = SqliteStore(path)
    try:
        while rows := [_row(record) for record in itertools.islice(records, BATCH)]:
            store.append(IngestBatch(rows=rows))
    finally:
        store.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), a_day(int(sys.argv[2]), datetime.now(UTC)))
