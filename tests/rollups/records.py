"""Records of all kinds, reproducible, for the tests of roll-ups."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from llm_metrics_proxy.record import ROW_COLUMNS
from tests.analytics.database import a_record, a_row

FIRST: Final = datetime(2026, 3, 28, 20, tzinfo=UTC)
_ODD: Final = (None, None, None, 0.0, -3.0, 1e300, 5e-324, 2.5, 700.25)


def a_row_of(random: Random, *, hours: float = 30, odd: bool = True) -> tuple[Any, ...]:
    """One row in the order of ``ROW_COLUMNS``; some of the ``odd`` ones have no time."""
    began = FIRST + timedelta(hours=random.uniform(0, hours))
    succeeded = random.random() < 0.8

    def number(low: float, high: float) -> float | None:
        return random.choice(_ODD) if odd and random.random() < 0.2 else random.uniform(low, high)

    tokens = random.choice((None, 0, 7, 100, 2**40, 2**39))
    record = a_record(
        timestamp=f"{began.replace(tzinfo=None).isoformat(timespec='microseconds')}Z",
        model=random.choice(("llama3:8b", "gpt-4o", "é'\"", None)),
        backend_name=random.choice(("a", "b", None)),
        endpoint=random.choice(("/v1/chat/completions", "/v1/embeddings")),
        origin=random.choice((None, "https://one.example", "https://two.example")),
        user=random.choice((None, "", "ann", "bob")),
        api_key_id=random.choice((None, "0123456789ab")),
        is_streaming=random.random() < 0.5,
        success=succeeded,
        outcome="completed" if succeeded else random.choice(("rejected", "upstream_error")),
        error_type=None if succeeded else random.choice(("rate_limit", "overloaded")),
        status_code=random.choice((None, 200, 429)),
        finish_reason=random.choice((None, "stop", "length")),
        prompt_tokens=tokens,
        completion_tokens=random.choice((None, 5)),
        total_tokens=tokens,
        request_bytes=random.randrange(1000),
        response_time_ms=number(1, 5000),
        time_to_first_token_ms=number(1, 500),
        proxy_overhead_ms=number(0.01, 2),
        connect_ms=number(0.1, 20),
        cache_write_1h_tokens=None if tokens is None or tokens > 100 else tokens,
        quota_secondary_window_ms=604_800_000.0 if tokens == 7 else None,
    )
    row = a_row(
        record,
        error_category=None if succeeded else "limit",
        app_version=random.choice(("3.0.0", "2.2.0")),
        cost_usd=number(0, 0.5),
    )
    if odd and random.random() < 0.05:
        row = changed(row, timestamp=None)
    return row


def changed(row: tuple[Any, ...], **values: Any) -> tuple[Any, ...]:
    """The row with other values."""
    return tuple(values.get(name, each) for name, each in zip(ROW_COLUMNS, row, strict=True))
