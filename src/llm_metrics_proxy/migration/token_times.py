"""When tokens came, and how fast, by 4.0.0, for stored records: SQL over one record's columns as they were before.

Older programs wrote the response time as time to first and last token where the answer was not streamed. Only streams
have ``content_chunks``; without it, ``is_streaming`` says whether it was one. Where that is neither 0 nor 1, the times
decide: a first token that is not earlier than the end of the response is none.

Values of other programs' files that are no numbers count as missing. ``token_times_oracle``, which every record is held
against, shares nothing with this. Frozen with 4.0.0.
"""

from typing import Final

from llm_metrics_proxy.migration.model import SharedExpressions

FIRST: Final = "time_to_first_token_ms"
OUTPUT: Final = "time_to_first_output_ms"
LAST: Final = "time_to_last_token_ms"
TIMES: Final = (FIRST, OUTPUT, LAST)
INPUTS: Final = (
    "is_streaming", "content_chunks", "response_time_ms", FIRST, OUTPUT, LAST, "completion_tokens", "outcome",
    "recompute_reason",
)  # fmt: skip
# What is known not to be a stream is alike to the oracle, whatever its times: only an earlier reason shows.
ORACLE_KEY_WHERE: Final = (
    "{content_chunks} IS NULL AND typeof({is_streaming}) IN ('integer', 'real') AND +{is_streaming} = 0"
)
ORACLE_KEY: Final = ("0", *("NULL" for _name in INPUTS[1:-1]), "{}")
_LARGEST: Final = "1.7976931348623157e308"  # the largest finite number: SQLite has no word for "is finite"


def _is_number(column: str) -> str:
    return f"typeof({column}) IN ('integer', 'real')"


# A plus takes the column's type away, which could make text of the numbers that it is compared with.
_WAS_WHOLE: Final = (
    f"CASE WHEN {_is_number('content_chunks')} THEN 0 "
    f"WHEN {_is_number('is_streaming')} AND +is_streaming IN (0, 1) THEN +is_streaming = 0 "
    f"ELSE {_is_number(FIRST)} AND {_is_number('response_time_ms')} AND +{FIRST} >= +response_time_ms END"
)
# ``whole``: the answer came in one piece. Worked out once for each record, and not at all where both flags are plain.
WHOLE: Final = SharedExpressions(
    layers=((("whole", _WAS_WHOLE),),),
    seen=(("whole", "1"),),
    plain="content_chunks IS NULL AND +is_streaming IS 0",
)
_HAS_TIMES: Final = f"({_is_number(FIRST)} AND {_is_number(LAST)})"
_HAS_TOKENS: Final = _is_number("completion_tokens")
# Files without types hold whole numbers too: times 1.0, or SQLite would divide them as such.
_GENERATING_MS: Final = f"({LAST} * 1.0 - {FIRST})"
_AFTER_FIRST: Final = "((completion_tokens - 1) * 1.0)"
_RATE: Final = f"{_AFTER_FIRST} * 1000.0 / {_GENERATING_MS}"
_POSSIBLE: Final = f"(+{FIRST} >= 0 AND {_GENERATING_MS} > 0)"
_FINITE: Final = f"({_GENERATING_MS} <= {_LARGEST} AND {_RATE} <= {_LARGEST})"
_KNOWN: Final = f"NOT whole AND {_HAS_TIMES} AND {_HAS_TOKENS} AND +completion_tokens >= 2"


def _if_known(value: str) -> str:
    return f"CASE WHEN {_KNOWN} AND {_POSSIBLE} AND {_FINITE} THEN {value} END"


TIME_PER_OUTPUT_TOKEN_SQL: Final = _if_known(f"{_GENERATING_MS} / {_AFTER_FIRST}")
OUTPUT_TOKENS_PER_SECOND_SQL: Final = _if_known(_RATE)
NOT_STREAMED_SQL: Final = "whole"
# Reasons are owed for complete streams alone: nothing else is expected to have a speed. The first that holds counts.
_STREAM: Final = (
    f"outcome COLLATE BINARY IS 'completed' AND NOT whole "
    f"AND ({_is_number('content_chunks')} OR +is_streaming IS 1 OR {_is_number(FIRST)})"
)
_STREAM_OF_TOKENS: Final = f"{_STREAM} AND {_HAS_TOKENS} AND +completion_tokens >= 2"
NO_SPEED_SQL: Final = {
    "no_completion_tokens": f"{_STREAM} AND NOT {_HAS_TOKENS}",
    "no_token_times": f"{_STREAM_OF_TOKENS} AND NOT {_HAS_TIMES}",
    "no_time_between_tokens": f"{_STREAM_OF_TOKENS} AND {_POSSIBLE} IS NOT 1",
    "speed_not_finite": f"{_STREAM_OF_TOKENS} AND {_FINITE} IS NOT 1",
}
FOLLOWS_SQL: Final = (
    f"NOT (whole AND coalesce({FIRST}, {OUTPUT}, {LAST}) IS NOT NULL) "
    f"AND time_per_output_token_ms IS ({TIME_PER_OUTPUT_TOKEN_SQL}) "
    f"AND output_tokens_per_second IS ({OUTPUT_TOKENS_PER_SECOND_SQL})"
)


def streamed_only(column: str) -> str:
    """SQL: the column's value as it is, or NULL where the answer was not streamed."""
    return f"CASE WHEN whole THEN NULL ELSE {column} END"
