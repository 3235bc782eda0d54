"""Token counts read once more from what the server reported, by 5.0.0: SQL, the function that it asks, and its oracle.

A report is read as a new record's is (``wire.token_counts``). Nearly always that gives what is stored, and then nothing
changes: the function answers NULL, and no column is written. What does change takes its rates along. Text never comes
to Python but as bytes: that of other programs may be no Unicode.
"""

from functools import cache
from math import inf, isfinite
from typing import Any, Final

import msgspec

from llm_metrics_proxy.migration.model import SharedExpressions
from llm_metrics_proxy.storage.base import SqlValue

# The columns that are counted, in the order in which the function takes what is stored and gives what it counts.
COUNTS: Final = (
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "cache_write_tokens",
    "cache_write_5m_tokens", "cache_write_1h_tokens", "usage_rejected", "usage_source",
)  # fmt: skip
COST: Final = "upstream_cost_usd"
FIRST, LAST = "time_to_first_token_ms", "time_to_last_token_ms"
RATES: Final = ("tokens_per_second", "time_per_output_token_ms", "output_tokens_per_second")
INPUTS: Final = (
    "usage_reported", "dialect", *COUNTS, COST, "response_time_ms", FIRST, LAST, *RATES, "recompute_reason",
)  # fmt: skip
_MEMBERS: Final = COUNTS[:8]  # as they are called in ``Usage``
_SOURCES: Final = {"none": 0, "reported": 1, "repeated": 2}
_REPEATED: Final = 2
_FEWEST: Final = 2  # tokens between which time can pass

_bytes = "iif(typeof({0}) = 'text', CAST({0} AS BLOB), NULL)".format
_stored = ", ".join(
    f"iif(typeof({name}) IN ('integer', 'real'), {name}, iif({name} IS NULL, NULL, -1))" for name in (*COUNTS[:9], COST)
)
_source = "CASE usage_source " + " ".join(f"WHEN '{word}' THEN {code}" for word, code in _SOURCES.items()) + " END"
# ``counted``: the JSON list of all COUNTS where one of them is another than what is stored, else NULL.
SHARED: Final = SharedExpressions(
    layers=((("counted", f"recounted({_bytes('usage_reported')}, {_bytes('dialect')}, {_source}, {_stored})"),),),
    seen=(("counted", "NULL"),),
    plain="usage_reported IS NULL",
)
COST_SQL: Final = f"reported_cost({_bytes('usage_reported')}, {_bytes('dialect')})"
_FETCHED: Final = "coalesce(dialect GLOB '*_fetch', 0)"
_LARGEST: Final = "1.7976931348623157e308"


@cache
def _readers() -> Any:
    """What reads reports, loaded with the first one: most verbs count nothing."""
    from llm_metrics_proxy.wire import token_counts  # noqa: PLC0415

    return token_counts


def _is_number(column: str) -> str:
    return f"typeof({column}) IN ('integer', 'real')"


def if_counted(value: str, column: str) -> str:
    """SQL: ``value`` where counts changed, else the column as it is."""
    return f"CASE WHEN counted IS NULL THEN {column} ELSE {value} END"


def count_sql(column: str) -> str:
    """SQL of a column of ``COUNTS``."""
    return if_counted(f"counted ->> {COUNTS.index(column)}", column)


_total, _completion = f"counted ->> {COUNTS.index('total_tokens')}", f"counted ->> {COUNTS.index('completion_tokens')}"
_whole_rate = f"({_total}) * 1000.0 / response_time_ms"
TOKENS_PER_SECOND_SQL: Final = (
    f"CASE WHEN NOT {_FETCHED} AND {_is_number('response_time_ms')} AND +response_time_ms > 0 AND ({_total}) > 0 "
    f"AND +response_time_ms <= {_LARGEST} AND {_whole_rate} <= {_LARGEST} THEN {_whole_rate} END"
)
_generating_ms, _after_first = f"({LAST} * 1.0 - {FIRST})", f"((({_completion}) - 1) * 1.0)"
_rate = f"{_after_first} * 1000.0 / {_generating_ms}"
_has_pace = (
    f"NOT {_FETCHED} AND {_is_number(FIRST)} AND {_is_number(LAST)} AND ({_completion}) >= {_FEWEST} AND +{FIRST} >= 0 "
    f"AND {_generating_ms} > 0 AND {_generating_ms} <= {_LARGEST} AND {_rate} <= {_LARGEST}"
)
TIME_PER_OUTPUT_TOKEN_SQL: Final = f"CASE WHEN {_has_pace} THEN {_generating_ms} / {_after_first} END"
OUTPUT_TOKENS_PER_SECOND_SQL: Final = f"CASE WHEN {_has_pace} THEN {_rate} END"


def recounted(reported: bytes | None, dialect: bytes | None, source: int | None, *stored: float | None) -> str | None:
    """The function ``recounted``: JSON of the counts, or None where all are stored so, or the report cannot be read."""
    usage = (
        None
        if reported is None
        else _readers().tokens_from(_text(reported), None if dialect is None else _text(dialect))
    )
    if usage is None:
        return None
    counts = (
        usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.cached_tokens, usage.reasoning_tokens,
        usage.cache_write_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens, usage.rejected,
    )  # fmt: skip
    found = 0 if usage.is_empty else 1
    if counts == stored[:9] and (source == found or (source == _REPEATED and found)) and usage.cost_usd == stored[9]:
        return None
    word = "none" if not found else "repeated" if source == _REPEATED else "reported"
    return msgspec.json.encode((*counts[:8], int(usage.rejected), word)).decode()


def reported_cost(reported: bytes | None, dialect: bytes | None) -> float | None:
    """The function ``reported_cost``, asked where counts changed: JSON might not keep every bit of it."""
    usage = (
        None
        if reported is None
        else _readers().tokens_from(_text(reported), None if dialect is None else _text(dialect))
    )
    return None if usage is None else usage.cost_usd


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def oracle(*values: SqlValue) -> tuple[SqlValue, ...]:
    """The values of ``COUNTS``, cost, rates and reason as 5.0.0 has them, given those of ``INPUTS``."""
    reported, dialect, *stored = values
    kept = tuple(stored[:11])
    response_ms, first_ms, last_ms, *rates, reason = stored[11:]
    usage = (
        _readers().read_slowly(reported, dialect) if isinstance(reported, str) and isinstance(dialect, str) else None
    )
    if usage is None:
        return (*kept, *rates, reason)
    source = "reported"
    if usage.prompt_tokens is usage.completion_tokens is usage.total_tokens is None:
        source = "none"
    elif kept[9] == "repeated":
        source = "repeated"
    counted = (*(getattr(usage, name) for name in _MEMBERS), usage.rejected, source, usage.cost_usd)
    if counted == kept:
        return (*kept, *rates, reason)
    is_fetched = str(dialect).endswith("_fetch")
    total, completion = usage.total_tokens, usage.completion_tokens
    speed = None
    if total and not is_fetched and isinstance(response_ms, int | float) and 0 < response_ms < inf:
        speed = float(total) * 1000.0 / response_ms
    per_token = per_second = None
    if isinstance(first_ms, int | float) and isinstance(last_ms, int | float) and not is_fetched:
        took_ms, more = float(last_ms) - float(first_ms), float((completion or 0) - 1)
        if (
            first_ms >= 0
            and more >= 1
            and took_ms > 0
            and isfinite(took_ms)
            and isfinite(rate := more * 1000.0 / took_ms)
        ):
            per_token, per_second = took_ms / more, rate
    return (*counted, speed if speed is not None and isfinite(speed) else None, per_token, per_second, reason)
