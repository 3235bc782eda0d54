"""Records for the benchmark of analytics, made inside ClickHouse: the mixture of ``analytics_data``, by arithmetic.

Random numbers are hashes of a record's number, so the same number of records is always the same records. A server of
two cores makes 50 million in some minutes, by INSERTs of whole hours, in the order in which they would come.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from bench.analytics_data import (
    _FAILURES,
    _FINISH,
    BACKENDS,
    DAYS,
    END,
    ENDPOINTS,
    KEYS,
    MODELS,
    ORIGINS,
    USERS,
    Traffic,
)
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.table import TABLE
from llm_metrics_proxy.metrics_service import APP_VERSION

HOST: Final = "proxy-1"
_PLACES: Final = 4096  # of a table in which each value has as many places as it is frequent
_SETTINGS: Final = {
    "max_query_size": 10_000_000, "max_ast_elements": 10_000_000, "max_expanded_ast_elements": 10_000_000,
}  # fmt: skip


def make(connection: Connection, records: int, piece: int = 100_000) -> Iterator[int]:
    """Fill the empty table; yields how many records are there after each INSERT."""
    hours = Traffic(records).hours()
    ends = np.cumsum([count for _, count in hours]).tolist()
    first, done = 0, 0
    for index, end in enumerate(ends):
        if end - done >= piece or index + 1 == len(ends):
            connection.command(_insert(hours[first : index + 1], done), settings=_SETTINGS)
            first, done = index + 1, end
            yield done


def _literal(value: Any) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else repr(value)


def _array(values: Sequence[Any]) -> str:
    return f"[{', '.join(map(_literal, values))}]"


def _hash(stream: int) -> str:
    return f"sipHash64(number, {stream})"


def _uniform(stream: int) -> str:
    return f"({_hash(stream)} / 18446744073709551616)"


def _normal(stream: int) -> str:
    return f"(sqrt(-2 * log({_uniform(stream)} + 1e-12)) * cos(2 * pi() * {_uniform(stream + 1)}))"


def _log_normal(mean: float, sigma: float, stream: int) -> str:
    return f"exp({mean} + {sigma} * {_normal(stream)})"


def _exponential(mean: float, stream: int) -> str:
    return f"(-{mean} * log({_uniform(stream)} + 1e-12))"


def _zipf(values: Sequence[Any], stream: int) -> str:
    weights = 1 / np.arange(1, len(values) + 1) ** 1.1
    places = np.searchsorted(np.cumsum(weights / weights.sum()), (np.arange(_PLACES) + 0.5) / _PLACES)
    return f"{_array([values[place] for place in places])}[1 + bitAnd({_hash(stream)}, {_PLACES - 1})]"


def _of_failure(field: int) -> str:
    return f"{_array([failure[field] for failure in _FAILURES])}[1 + failure]"


_NAMED: Final = {
    "model_place": _zipf(range(len(MODELS)), 8),
    "model_name": f"{_array(MODELS)}[1 + model_place]",
    "model_speed": f"{_array([float(speed) for speed in Traffic(0)._model_speed])}[1 + model_place]",
    "streaming": f"{_uniform(10)} < 0.6",
    "failed": f"{_uniform(11)} < 0.04",
    "failure": _zipf(range(len(_FAILURES)), 9),
    "reported": f"NOT failed AND {_uniform(12)} < 0.93",
    "prompt": f"toInt64(least({_log_normal(6.2, 1.2, 13)}, 120000)) + 1",
    "completion": f"toInt64(least({_log_normal(5.0, 1.0, 15)}, 8000)) + 1",
    "speed": f"model_speed * {_log_normal(0, 0.25, 17)}",
    "ttft": f"30 + prompt / 8 * {_log_normal(0, 0.4, 19)} + {_log_normal(3, 1, 21)}",
    "last": "ttft + (completion - 1) / speed * 1000",
    "duration": f"if(failed, {_log_normal(4, 1.5, 23)}, last + {_exponential(2, 25)})",
    "streamed": "streaming AND NOT failed",
    "many": "streamed AND reported AND completion > 1",
    "acquired": f"{_exponential(0.4, 26)} + 0.05",
}
_COLUMNS: Final = {
    "arrival": "toInt64(number + 1)",
    "host": _literal(HOST),
    "request_id": "lower(hex(sipHash128(number)))",
    "timestamp": "addMicroseconds(toDateTime64(hour_s, 6, 'UTC'), toInt64((k + 0.5) / n * 3600000000))",
    "method": "'POST'",
    "endpoint": _zipf(ENDPOINTS, 1),
    "dialect": "'openai_chat'",
    "backend": "'10.0.0.1:8000'",
    "model": "model_name",
    "response_model": "model_name",
    "origin": _zipf((*ORIGINS, None), 2),
    "user": _zipf((*USERS, None), 3),
    "user_agent": "'OpenAI/Python 2.1'",
    "api_key_id": _zipf(KEYS, 4),
    "is_streaming": "streaming",
    "max_tokens": "1024",
    "temperature": "0.7",
    "message_count": f"1 + bitAnd({_hash(5)}, 15)",
    "request_bytes": "prompt * 4 + 300",
    "response_bytes": "completion * if(streaming, 180, 5) + 400",
    "success": "NOT failed",
    "outcome": f"if(failed, {_of_failure(0)}, 'completed')",
    "status_code": f"if(failed, {_of_failure(4)}, 200)",
    "upstream_status_code": f"if(failed, {_of_failure(4)}, 200)",
    "finish_reason": f"if(failed, NULL, {_zipf(_FINISH, 6)})",
    "error_type": f"if(failed, {_of_failure(2)}, NULL)",
    "error_category": f"if(failed, {_of_failure(1)}, NULL)",
    "error_phase": f"if(failed, {_of_failure(3)}, NULL)",
    "prompt_tokens": "if(reported, prompt, NULL)",
    "completion_tokens": "if(reported, completion, NULL)",
    "total_tokens": "if(reported, prompt + completion, NULL)",
    "cached_tokens": f"if(reported AND {_uniform(30)} < 0.4, intDiv(prompt, 2), NULL)",
    "usage_source": "if(reported, 'reported', 'none')",
    "usage_rejected": "0",
    "retries": "0",
    "upstream_reused": "1",
    "body_complete_ms": _exponential(0.2, 31),
    "connect_ms": f"if({_uniform(32)} < 0.05, {_log_normal(1, 0.5, 33)}, NULL)",
    "upstream_acquired_ms": "acquired",
    "request_sent_ms": "acquired + 0.05",
    "response_headers_ms": "ttft * 0.9",
    "time_to_first_byte_ms": "ttft * 0.95",
    "time_to_first_token_ms": "if(streamed, ttft, NULL)",
    "time_to_first_output_ms": "if(streamed, ttft * 1.02, NULL)",
    "time_to_last_token_ms": "if(streamed, last, NULL)",
    "inter_chunk_max_ms": f"if(streamed, {_log_normal(3.5, 0.6, 35)}, NULL)",
    "response_time_ms": "duration",
    "proxy_overhead_ms": _log_normal(-1.2, 0.5, 37),
    "backend_name": _zipf(BACKENDS, 7),
    "attempts": "1",
    "tokens_per_second": "if(reported, (prompt + completion) * 1000 / duration, NULL)",
    "time_per_output_token_ms": "if(many, (last - ttft) / greatest(completion - 1, 1), NULL)",
    "output_tokens_per_second": "if(many, greatest(completion - 1, 1) * 1000 / greatest(last - ttft, 0.001), NULL)",
    "cost_usd": "if(reported AND model_place % 5 = 4, prompt * 2e-7 + completion * 8e-7, NULL)",
    "app_version": _literal(APP_VERSION),
}


def _insert(hours: Sequence[tuple[float, int]], first: int) -> str:
    counts = [count for _, count in hours]
    begins = (np.cumsum([0, *counts[:-1]]) + first).tolist()
    pieces = ", ".join(
        f"({int(hour)}, {begin}, {count})" for (hour, count), begin in zip(hours, begins, strict=True) if count
    )
    numbered = (
        f"SELECT piece.1 AS hour_s, piece.3 AS n, arrayJoin(range(toUInt64(n))) AS k, piece.2 + k AS number "
        f"FROM (SELECT arrayJoin([{pieces}]) AS piece)"
    )
    named = ", ".join(f"{sql} AS {name}" for name, sql in _NAMED.items())
    names = ", ".join(f"`{name}`" for name in _COLUMNS)
    return f"INSERT INTO {TABLE} ({names}) WITH {named} SELECT {', '.join(_COLUMNS.values())} FROM ({numbered})"


__all__ = ["DAYS", "END", "HOST", "make"]
