"""What numbers are called where people read them: one name for each, and no name for two. Programs read columns by the
names that ``record`` and ``metrics`` give them.

Two speeds are easily confused: ``output_tokens_per_second`` is how fast a server writes, and
``tokens_per_second`` counts the prompt's tokens too, over the whole response time. Only the first is called a speed.
"""

from typing import Final, NamedTuple


class Heading(NamedTuple):
    """``words``: in reports and sentences, in lower case. ``short``: at the head of a column in a terminal."""

    words: str
    short: str


HEADINGS: Final[dict[str, Heading]] = {
    "requests": Heading("requests", "requests"),
    "requests_per_second": Heading("requests per second", "req/s"),
    "success_rate": Heading("success rate", "success rate"),
    "errors": Heading("errors", "errors"),
    "error_rate": Heading("error rate", "error rate"),
    "response_time_ms": Heading("response time", "total ms"),
    "time_to_first_token_ms": Heading("first token", "TTFT ms"),
    "output_tokens_per_second": Heading("output speed", "out tok/s"),
    "tokens_per_second": Heading("all tokens per second", "all tok/s"),
    "prompt_tokens": Heading("tokens in", "in tok"),
    "completion_tokens": Heading("tokens out", "out tok"),
    "cached_tokens": Heading("cached tokens", "cached tok"),
    "total_tokens": Heading("tokens", "tok"),
    "cost_usd": Heading("cost", "USD"),
    "cache_hit_ratio": Heading("cache hit rate", "cache hit"),
    "cache_savings_usd": Heading("saved by caching", "saved USD"),
    "cost_per_request_usd": Heading("cost per request", "USD/req"),
    "cost_per_1000_requests_usd": Heading("cost per 1,000 requests", "USD/1k req"),
    "cost_per_mtok_usd": Heading("cost per million tokens", "USD/Mtok"),
    "cost_per_session_usd": Heading("cost per session", "USD/session"),
    "backend_busy_ms": Heading("server time", "busy ms"),
    "concurrency_max": Heading("most requests at once", "most open"),
    "proxy_overhead_ms": Heading("added by the proxy", "added ms"),
}


PARTS: Final = {"p50": "median"}


def words(metric: str) -> str:
    """Of a column or of a metric of it: ``response time p95``."""
    name, _, part = metric.partition(".")
    return f"{HEADINGS[name].words} {PARTS.get(part, part)}".rstrip()


def short(metric: str) -> str:
    """The same for a terminal: ``total ms p95``."""
    name, _, part = metric.partition(".")
    return f"{HEADINGS[name].short} {part}".rstrip()


def as_title(metric: str) -> str:
    """For a figure that stands alone: ``Response time, p95`` and ``Response time, median``."""
    name, _, part = metric.partition(".")
    found = HEADINGS[name].words.capitalize()
    return f"{found}, {PARTS.get(part, part)}" if part else found
