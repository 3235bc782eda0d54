"""What a report shows, as tables: its figures, charts and lists."""

from collections.abc import Mapping
from typing import Final

# Metric, and which way is better; ``headings`` has what it is called.
FIGURES: Final = (
    ("requests", ""),
    ("success_rate", "up"),
    ("response_time_ms.p50", "down"),
    ("response_time_ms.p95", "down"),
    ("time_to_first_token_ms.p50", "down"),
    ("time_to_first_token_ms.p95", "down"),
    ("output_tokens_per_second.p50", "up"),
    ("prompt_tokens", ""),
    ("completion_tokens", ""),
    ("total_tokens", ""),
    ("cached_tokens", ""),
    ("cache_hit_ratio", "up"),
    ("cost_usd", "down"),
    ("cache_savings_usd", "up"),
    ("cost_per_1000_requests_usd", "down"),
    ("requests_per_second", ""),
    ("concurrency_max", ""),
    ("proxy_overhead_ms.p95", "down"),
)
# Name, title, kind, and metric by label.
CHARTS: Final[tuple[tuple[str, str, str, Mapping[str, str]], ...]] = (
    (
        "response_time", "Response time", "lines",
        {"median": "response_time_ms.p50", "p95": "response_time_ms.p95", "p99": "response_time_ms.p99"},
    ),
    (
        "first_token", "Time to first token (streams)", "lines",
        {"median": "time_to_first_token_ms.p50", "p95": "time_to_first_token_ms.p95"},
    ),
    (
        "output_speed", "Output speed (streams)", "lines",
        {"median": "output_tokens_per_second.p50", "slowest 5%": "output_tokens_per_second.p5"},
    ),
    ("tokens", "Tokens", "stacked", {"prompt": "prompt_tokens", "output": "completion_tokens"}),
    ("cost", "Cost, where known", "stacked", {"cost": "cost_usd"}),
)  # fmt: skip
TABLES: Final = (
    ("model", "Models"),
    ("origin", "Clients by origin"),
    ("api_key_id", "Clients by key"),
    ("user", "Users"),
    ("backend_name", "Servers"),
)
# The mean speed, not the median: of it there are roll-ups for clients, too, and all tables say the same.
COLUMNS: Final = (
    "requests", "error_rate", "response_time_ms.p95", "time_to_first_token_ms.p50", "output_tokens_per_second.mean",
    "total_tokens", "cache_hit_ratio", "cost_usd",
)  # fmt: skip
# What the first column of a table is called.
COLUMN_WORDS: Final = {
    "model": "model", "origin": "origin", "api_key_id": "key", "user": "user",
    "backend_name": "server",
}  # fmt: skip
