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
    ("cached_tokens", ""),
    ("cost_usd", "down"),
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
COLUMNS: Final = (
    "requests", "error_rate", "response_time_ms.p95", "time_to_first_token_ms.p50", "output_tokens_per_second.p50",
    "total_tokens", "cost_usd",
)  # fmt: skip
# By client there are no roll-ups of the median speed: with it, records of the whole range would be read for it alone.
CLIENT_COLUMNS: Final = tuple(
    "output_tokens_per_second.mean" if name == "output_tokens_per_second.p50" else name for name in COLUMNS
)
CLIENTS: Final = frozenset({"origin", "api_key_id", "user"})
