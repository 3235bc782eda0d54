"""What metrics are called at the head of a column."""

from typing import Final

HEADINGS: Final = {
    "requests": "requests",
    "error_rate": "errors",
    "response_time_ms.p95": "response p95",
    "time_to_first_token_ms.p50": "first token p50",
    "output_tokens_per_second.p50": "output p50",
    "output_tokens_per_second.mean": "output mean",
    "total_tokens": "tokens",
    "cost_usd": "cost",
}
