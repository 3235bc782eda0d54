"""Short ways through the frozen formulas for usual records, and verification's own: SQL over a record before.

What the frozen SQL of a version gives stays what counts; a test holds every one of these against it and against the
oracle in Python. Each belongs to one text of a migration, by its checksum: an edited one has none. The two kinds are
written apart: records are carried by ``SHORT_WAYS``, and verified by ``ORACLE_WAYS``, whose ``values`` are all that the
migration changes. A unary plus takes a column's type away, so that BETWEEN is true of numbers alone.
"""

from typing import Final

from llm_metrics_proxy.migration.failures import PLAIN
from llm_metrics_proxy.migration.model import Usual
from llm_metrics_proxy.migration.timestamps import naive

_FIRST, _LAST = "time_to_first_token_ms", "time_to_last_token_ms"
_TOOK: Final = f"({_LAST} * 1.0 - {_FIRST})"
_MORE: Final = "((completion_tokens - 1) * 1.0)"
_TIMES_AND_RATE_USUAL: Final = Usual(
    where=f"{naive('timestamp')} AND (total_tokens IS NULL OR +total_tokens BETWEEN 1 AND 1e12) "
    "AND +response_time_ms BETWEEN 1e-6 AND 1e15",
    given={},
    values={
        "timestamp": "replace(timestamp, ' ', 'T') || 'Z'",
        "timestamp_original": "coalesce(timestamp_original, timestamp)",
        "tokens_per_second": "total_tokens * 1000.0 / response_time_ms",
        "recompute_reason": "CASE WHEN total_tokens IS NULL THEN 'no_total_tokens' END",
    },
)
_FAILURES_USUAL: Final = Usual(
    where=f"+success IS 1 AND {PLAIN}",
    given={},
    values={name: name for name in ("success", "outcome_original", "error_type_original", "recompute_reason")},
)
_TOKEN_TIMES_USUAL: Final = Usual(
    where="(content_chunks IS NULL OR +content_chunks BETWEEN 0 AND 1e15) AND +is_streaming IN (0, 1) AND (whole "
    f"OR (+{_FIRST} BETWEEN 0 AND 1e15 AND +{_LAST} <= 1e15 AND {_TOOK} >= 1e-6 "
    "AND +completion_tokens BETWEEN 2 AND 1e12))",
    given={"whole": "content_chunks IS NULL AND is_streaming = 0"},
    values={
        "time_per_output_token_ms": f"CASE WHEN NOT whole THEN {_TOOK} / {_MORE} END",
        "output_tokens_per_second": f"CASE WHEN NOT whole THEN {_MORE} * 1000.0 / {_TOOK} END",
        "recompute_reason": "recompute_reason",
    },
)

_TIMES_AND_RATE_ORACLE: Final = Usual(
    where="typeof(timestamp) = 'text' AND octet_length(timestamp) = 26 AND timestamp > '0001' "
    "AND date(timestamp) = substr(timestamp, 1, 10) AND time(timestamp) = substr(timestamp, 12, 8) "
    f"AND substr(timestamp, 12, 2) <= '23' AND substr(timestamp, 20) GLOB '.{'[0-9]' * 6}' "
    "AND typeof(total_tokens) IN ('integer', 'real') AND typeof(response_time_ms) IN ('integer', 'real') "
    "AND total_tokens >= 1 AND total_tokens < 1e15 AND response_time_ms > 1e-9 AND response_time_ms < 1e18 "
    "AND timestamp_original IS NULL AND (user IS NULL OR typeof(user) = 'text')",
    given={},
    values={
        "timestamp": "concat(replace(timestamp, ' ', 'T'), 'Z')",
        "timestamp_original": "timestamp",
        "tokens_per_second": "CAST(total_tokens AS REAL) * 1000.0 / response_time_ms",
        "origin": "user",
        "recompute_reason": "NULL",
    },
)
# A success without a word about an error, and nothing that was cut off or flagged.
_FAILURES_ORACLE: Final = Usual(
    where="typeof(success) = 'integer' AND success = 1 AND outcome IS NULL AND error_type IS NULL "
    "AND outcome_original IS NULL AND error_type_original IS NULL "
    "AND (finish_reason IS NULL OR finish_reason COLLATE BINARY IN ('length', 'stop', 'tool_calls'))",
    given={},
    values={"outcome": "'completed'", "error_category": "NULL", "error_phase": "NULL"},
)
_TOKEN_TIMES_ORACLE: Final = Usual(
    where=f"content_chunks IS NULL AND typeof(is_streaming) = 'integer' AND {_FIRST}_original IS NULL "
    f"AND {_LAST}_original IS NULL AND time_to_first_output_ms_original IS NULL AND CASE is_streaming WHEN 0 THEN 1 "
    f"WHEN 1 THEN typeof({_FIRST}) = 'real' AND typeof({_LAST}) = 'real' AND typeof(completion_tokens) = 'integer' "
    f"AND {_FIRST} >= 0 AND {_LAST} - {_FIRST} > 1e-9 AND {_LAST} < 1e18 AND completion_tokens > 1 "
    "AND completion_tokens < 1000000000000 AND coalesce(time_to_first_output_ms, 0) BETWEEN -1e18 AND 1e18 END",
    given={},
    values={
        **{name: f"CASE WHEN is_streaming = 1 THEN {name} END" for name in (_FIRST, "time_to_first_output_ms", _LAST)},
        **{
            f"{name}_original": f"CASE WHEN is_streaming = 0 THEN {name} END"
            for name in (_FIRST, "time_to_first_output_ms", _LAST)
        },
        "time_per_output_token_ms": f"CASE WHEN is_streaming = 1 "
        f"THEN ({_LAST} - {_FIRST}) / CAST(completion_tokens - 1 AS REAL) END",
        "output_tokens_per_second": f"CASE WHEN is_streaming = 1 "
        f"THEN CAST(completion_tokens - 1 AS REAL) * 1000.0 / ({_LAST} - {_FIRST}) END",
    },
)

_V2: Final = "2c3cb039e7b7fb1e5f5e8cf4f35210d8642b638e86b815b8ea99e1c3f1162388"
_V3: Final = "ce56e9b2f55c0b3aabd8a0221933b67b541fa883b046e1139002543f4c2a7683"
_V4: Final = "c832bea8af421bfc817757c83fff5a88e29f852ee348ecc58bc58d56d88b94c7"
SHORT_WAYS: Final = {_V2: _TIMES_AND_RATE_USUAL, _V3: _FAILURES_USUAL, _V4: _TOKEN_TIMES_USUAL}
ORACLE_WAYS: Final = {_V2: _TIMES_AND_RATE_ORACLE, _V3: _FAILURES_ORACLE, _V4: _TOKEN_TIMES_ORACLE}
