"""The oracle of 4.0.0: token times of streams alone, and how fast tokens came, once more in plain Python.

Written apart from the SQL of ``token_times`` and from the formula of new records, so that a slip in one of them shows
as a difference. Frozen with 4.0.0. Values of the wrong type count as missing.
"""

from math import isfinite

from llm_metrics_proxy.storage.base import SqlValue

_FEWEST = 2  # tokens between which time can pass


def oracle(  # noqa: PLR0917 -- the engine hands it the values of INPUTS, by place
    is_streaming: SqlValue, content_chunks: SqlValue, response_time_ms: SqlValue, first_token: SqlValue,
    first_output: SqlValue, last_token: SqlValue, completion_tokens: SqlValue, outcome: SqlValue,
    recompute_reason: SqlValue,
) -> tuple[SqlValue, ...]:  # fmt: skip
    """The three times, the time per output token, output tokens per second, and why these two could not be had."""
    if content_chunks is None and is_streaming == 0 and not isinstance(is_streaming, str | bytes):
        return None, None, None, None, None, recompute_reason  # most of those that were not streamed
    streamed = _came_as_stream(_number(is_streaming), _number(content_chunks), _number(response_time_ms), first_token)
    if streamed is False:
        return None, None, None, None, None, recompute_reason
    pace, owed = _pace(_number(first_token), _number(last_token), _number(completion_tokens))
    per_token, per_second = (None, None) if pace is None else pace
    reason = owed if owed is not None and streamed and outcome == "completed" else recompute_reason
    return first_token, first_output, last_token, per_token, per_second, reason


def _number(value: SqlValue) -> float | None:
    return value if isinstance(value, int | float) else None


def _came_as_stream(
    asked: float | None, chunks: float | None, response_ms: float | None, first_token: SqlValue
) -> bool | None:
    """By what was read of the answer, by what was asked for, or else by whether its first token came before its end.

    ``None``: unknown.
    """
    if chunks is not None:
        return True
    if asked in {0, 1}:
        return asked == 1
    first_ms = _number(first_token)
    if first_ms is None:
        return None
    return response_ms is None or first_ms < response_ms


def _pace(
    first_ms: float | None, last_ms: float | None, tokens: float | None
) -> tuple[tuple[float, float] | None, str | None]:
    """Milliseconds for each token after the first, and such tokens in a second; else the reason, if one is owed."""
    if tokens is None:
        return None, "no_completion_tokens"
    if tokens < _FEWEST:
        return None, None
    if first_ms is None or last_ms is None:
        return None, "no_token_times"
    between_ms = float(last_ms) - float(first_ms)
    if first_ms < 0 or not between_ms > 0:
        return None, "no_time_between_tokens"
    followers = float(tokens - 1)
    per_second = followers * 1000.0 / between_ms
    if not isfinite(between_ms) or not isfinite(per_second):
        return None, "speed_not_finite"
    return (between_ms / followers, per_second), None
