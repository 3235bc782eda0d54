"""Which numbers of a record are rolled up: one table, whose row numbers are stored and so never change.

The SQL says what counts as a value and is that of ``analytics.metrics``, and the keys are those of
``analytics.dimensions``; tests compare them. What is no finite number, or no whole number where tokens or bytes are
counted, is missing.
"""

from typing import Final, NamedTuple

from llm_metrics_proxy.record import ALL_COLUMNS


class Field(NamedTuple):
    """``number`` is stored (``banks``) and stays. ``whole``: its values and their sum are integers."""

    number: int
    name: str
    whole: bool = False

    @property
    def sql(self) -> str:
        """The value of one record, or NULL where it is missing; NULL too in a program that has no such column."""
        if self.name not in ALL_COLUMNS:
            return "NULL"
        return _count(self.name) if self.whole else _finite(self.name)


def _finite(column: str) -> str:
    return f"iif(+{column} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308, {column}, NULL)"


def _count(column: str) -> str:
    whole = f"CAST({column} AS INTEGER)"
    return f"iif(+{column} BETWEEN 0 AND 1099511627776 AND {whole} = +{column}, {whole}, NULL)"


# Only ever appended to: the numbers are in every database.
FIELDS: Final = (
    Field(0, "response_time_ms"),
    Field(1, "time_to_first_token_ms"),
    Field(2, "time_per_output_token_ms"),
    Field(3, "output_tokens_per_second"),
    Field(4, "tokens_per_second"),
    Field(5, "proxy_overhead_ms"),
    Field(6, "time_to_first_byte_ms"),
    Field(7, "time_to_first_output_ms"),
    Field(8, "time_to_last_token_ms"),
    Field(9, "inter_chunk_max_ms"),
    Field(10, "body_complete_ms"),
    Field(11, "connect_ms"),
    Field(12, "upstream_acquired_ms"),
    Field(13, "request_sent_ms"),
    Field(14, "response_headers_ms"),
    Field(15, "server_total_ms"),
    Field(16, "server_load_ms"),
    Field(17, "server_prompt_ms"),
    Field(18, "server_generation_ms"),
    Field(19, "retry_after_ms"),
    Field(20, "ratelimit_reset_requests_ms"),
    Field(21, "ratelimit_reset_tokens_ms"),
    Field(22, "prompt_tokens", whole=True),
    Field(23, "completion_tokens", whole=True),
    Field(24, "total_tokens", whole=True),
    Field(25, "cached_tokens", whole=True),
    Field(26, "reasoning_tokens", whole=True),
    Field(27, "cache_write_tokens", whole=True),
    Field(28, "request_bytes", whole=True),
    Field(29, "response_bytes", whole=True),
    Field(30, "cost_usd"),
    Field(31, "upstream_cost_usd"),
)
BY_NAME: Final = {field.name: field for field in FIELDS}
ALL: Final = tuple(field.number for field in FIELDS)
WHOLE: Final = frozenset(field.number for field in FIELDS if field.whole)

# What people ask for by model, server, client …; all else is kept for the total alone.
LATENCIES: Final = tuple(
    BY_NAME[name].number
    for name in (
        "response_time_ms",
        "time_to_first_token_ms",
        "time_per_output_token_ms",
        "output_tokens_per_second",
        "tokens_per_second",
        "proxy_overhead_ms",
    )
)
SUMS: Final = tuple(
    BY_NAME[name].number
    for name in (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "reasoning_tokens",
        "request_bytes",
        "response_bytes",
        "cost_usd",
    )
)
MAIN: Final = LATENCIES + SUMS
# The two that are asked for by client, where there may be thousands of them.
FEW: Final = LATENCIES[:2]


def _text(column: str) -> str:
    return f"iif(typeof({column}) = 'blob', 'X' || quote(hex(substr({column}, 1, 64))), CAST({column} AS TEXT))"


def _flag(column: str) -> str:
    return f"iif(+{column} IN (0, 1), CAST({column} AS INTEGER), NULL)"


def _status(column: str) -> str:
    return (
        f"iif(+{column} BETWEEN 0 AND 999 AND CAST({column} AS INTEGER) = +{column}, CAST({column} AS INTEGER), NULL)"
    )


# Dimension -> SQL of one record's key; in the order in which they are selected.
KEYS: Final[dict[str, str]] = {
    **{
        name: _text(name)
        for name in (
            "app_version",
            "model",
            "backend_name",
            "endpoint",
            "origin",
            "api_key_id",
            "user",
            "outcome",
            "error_category",
            "error_type",
            "finish_reason",
            "backend",
            "error_phase",
        )
    },
    "streaming": _flag("is_streaming"),
    "status_code": _status("status_code"),
}
# A time that can be read, to the minute; NULL for all else. Seconds and beyond only have to be digits: such a text
# lies between those of its minute and the next, which is how a filter by time compares.
_DIGITS: Final = "[0-9]"
_STAMP: Final = "{4}-{2}-{2}T{2}:{2}:{2}.{6}Z"


def _glob() -> str:
    text = _STAMP
    for count in (4, 2, 6):
        text = text.replace(f"{{{count}}}", _DIGITS * count)
    return text


MINUTE_SQL: Final = f"iif(typeof(timestamp) = 'text' AND timestamp GLOB '{_glob()}', substr(timestamp, 1, 16), NULL)"
