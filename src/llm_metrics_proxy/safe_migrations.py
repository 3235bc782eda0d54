"""What each version does to the records of the versions before it: one function per version that needs one.

This is the place where a maintainer adds a version; ``docs/howto/add-a-version.md`` leads through it. A migration is
data and is frozen once released. It names its own target, never "the current version", and takes nothing from
elsewhere in the program that a later change could alter. How records are found, backed up, walked, verified, stamped
and put back is the engine's part (``migration``) and the same for all of them.

SQL expressions see the columns named in ``inputs`` as they were before. The oracle is written without looking at
them: both must give the same for every record, or the run is taken back.
"""

from math import isfinite
from typing import Final

from llm_metrics_proxy.migration import counts
from llm_metrics_proxy.migration.failures import INPUTS, ORACLE_KEY, original_sql, shared_expressions
from llm_metrics_proxy.migration.failures_oracle import oracle_of
from llm_metrics_proxy.migration.model import ColumnChange, Gap, Migration
from llm_metrics_proxy.migration.timestamps import NEEDS_ORIGINAL_SQL, NORMALISED_SQL, normalise
from llm_metrics_proxy.migration.token_times import (
    FOLLOWS_SQL,
    NO_SPEED_SQL,
    NOT_STREAMED_SQL,
    ORACLE_KEY_WHERE,
    OUTPUT_TOKENS_PER_SECOND_SQL,
    TIME_PER_OUTPUT_TOKEN_SQL,
    TIMES,
    WHOLE,
    streamed_only,
)
from llm_metrics_proxy.migration.token_times import INPUTS as TOKEN_TIMES_INPUTS
from llm_metrics_proxy.migration.token_times import ORACLE_KEY as TOKEN_TIMES_ORACLE_KEY
from llm_metrics_proxy.migration.token_times_oracle import oracle as token_times_oracle
from llm_metrics_proxy.storage.base import SqlValue

_LARGEST = "1.7976931348623157e308"  # the largest finite number: SQLite has no word for "is finite"


def migrate_to_version_2_0_0() -> Migration:
    """``tokens_per_second`` over the whole response time; timestamps in one form; the origin of older layouts."""

    def oracle(
        timestamp: SqlValue, tokens: SqlValue, duration_ms: SqlValue, user: SqlValue
    ) -> tuple[SqlValue, SqlValue, SqlValue, str | None]:
        rate, reason = None, None
        if tokens is None:
            reason = "no_total_tokens"
        elif duration_ms is None:
            reason = "no_response_time"
        elif not isinstance(tokens, int | float) or not isinstance(duration_ms, int | float):
            reason = "not_a_number"
        elif tokens <= 0 or duration_ms <= 0:
            reason = "not_positive"
        else:
            rate = float(tokens) * 1000.0 / duration_ms
            if not isfinite(rate) or not isfinite(duration_ms):
                rate, reason = None, "not_finite"
        origin = None if isinstance(user, int | float) or type(user) is bytes else user
        return rate, normalise(timestamp), origin, reason

    numbers = "typeof(total_tokens) IN ('integer', 'real') AND typeof(response_time_ms) IN ('integer', 'real')"
    rate = "total_tokens * 1000.0 / response_time_ms"
    finite = f"response_time_ms <= {_LARGEST} AND {rate} <= {_LARGEST}"
    tokens_per_second = (
        f"CASE WHEN {numbers} AND total_tokens > 0 AND response_time_ms > 0 AND {finite} THEN {rate} END"
    )
    return Migration(
        version="2.0.0",
        summary="tokens_per_second is divided by the whole response time instead of the time between the first and the "
        "last token: lower than before, and not comparable with 1.x.",
        changes=(
            ColumnChange("tokens_per_second", tokens_per_second),
            ColumnChange("timestamp", NORMALISED_SQL, original="timestamp_original", keep_when=NEEDS_ORIGINAL_SQL),
            ColumnChange("origin", "CASE WHEN typeof(user) = 'text' THEN user END", only_if_added=True),
        ),
        gaps=(
            Gap("no_total_tokens", "total_tokens IS NULL", "the record has no total of tokens"),
            Gap("no_response_time", "response_time_ms IS NULL", "the record has no response time"),
            Gap("not_a_number", f"NOT ({numbers})", "text or bytes stand where a number belongs"),
            Gap("not_positive", "total_tokens <= 0 OR response_time_ms <= 0", "the tokens or the time are 0 or less"),
            Gap("not_finite", f"NOT ({finite})", "the numbers are too large or too small for a finite rate"),
        ),
        inputs=("timestamp", "total_tokens", "response_time_ms", "user"),
        oracle=oracle,
        distrusted=f"tokens_per_second IS NOT ({tokens_per_second}) OR timestamp IS NOT ({NORMALISED_SQL})",
    )


def migrate_to_version_3_0_0() -> Migration:
    """Outcomes and errors of every older record by the taxonomy."""
    return Migration(
        version="3.0.0",
        summary="Every failure has an outcome, a category and a type of the taxonomy; the words of before stay in "
        "outcome_original and error_type_original.",
        changes=(
            ColumnChange("outcome", "ending"),
            ColumnChange("success", "CASE WHEN success IS NULL THEN ending = 'completed' ELSE success END"),
            ColumnChange("error_category", "category"),
            ColumnChange("error_type", "kind"),
            ColumnChange("error_phase", "phase"),
            ColumnChange("outcome_original", original_sql("outcome", "ending")),
            ColumnChange("error_type_original", original_sql("error_type", "kind")),
        ),
        gaps=(
            Gap("error_not_recognised", "why_not = 'error_not_recognised'",
                "neither status nor words of the error are known"),
            Gap("error_without_words", "why_not = 'error_without_words'",
                "the record failed, and says nothing about why"),
        ),
        inputs=INPUTS,
        oracle=oracle_of("3.0.0"),
        oracle_at=oracle_of,
        distrusted="outcome IS NULL OR error_category IS NOT category",
        shown=(),
        keeps_reason=True,
        repeatable=True,
        shared=shared_expressions("3.0.0"),
        oracle_key=ORACLE_KEY,
    )  # fmt: skip


def migrate_to_version_4_0_0() -> Migration:
    """Times of tokens where there was a stream, and nowhere else; how fast tokens came."""
    return Migration(
        version="4.0.0",
        summary="Times to first and last token are those of streams alone: where an answer was not streamed, older "
        "programs wrote its response time there. Time per output token and output tokens per second are new.",
        changes=(
            *(
                ColumnChange(column, streamed_only(column), original=f"{column}_original", keep_when=NOT_STREAMED_SQL)
                for column in TIMES
            ),
            ColumnChange("time_per_output_token_ms", TIME_PER_OUTPUT_TOKEN_SQL),
            ColumnChange("output_tokens_per_second", OUTPUT_TOKENS_PER_SECOND_SQL),
        ),
        gaps=tuple(
            Gap(code, NO_SPEED_SQL[code], meaning)
            for code, meaning in {
                "no_completion_tokens": "a stream, and how many tokens it brought is not known",
                "no_token_times": "a stream, and when its tokens came is not known",
                "no_time_between_tokens": "a stream whose tokens all came at one moment, or at times that cannot be",
                "speed_not_finite": "a stream whose times or tokens are too large or too small for a finite speed",
            }.items()
        ),
        inputs=TOKEN_TIMES_INPUTS,
        oracle=token_times_oracle,
        distrusted=f"NOT ({FOLLOWS_SQL})",
        shown=("time_to_first_token_ms", "time_per_output_token_ms", "output_tokens_per_second"),
        keeps_reason=True,
        repeatable=True,
        shared=WHOLE,
        oracle_key=TOKEN_TIMES_ORACLE_KEY,
        oracle_key_where=ORACLE_KEY_WHERE,
    )


def migrate_to_version_5_0_0() -> Migration:
    """Tokens are counted once more from what the server reported, where that was kept."""
    return Migration(
        version="5.0.0",
        summary="Records are in a table of their own layout, and `id` is `arrival` everywhere. Tokens are read again "
        "from what the server reported, where 4.5.0 kept it: no number changes unless it was counted wrongly.",
        changes=(
            *(ColumnChange(column, counts.count_sql(column)) for column in counts.COUNTS),
            ColumnChange(counts.COST, counts.if_counted(counts.COST_SQL, counts.COST)),
            *(
                ColumnChange(column, counts.if_counted(expression, column))
                for column, expression in {
                    "tokens_per_second": counts.TOKENS_PER_SECOND_SQL,
                    "time_per_output_token_ms": counts.TIME_PER_OUTPUT_TOKEN_SQL,
                    "output_tokens_per_second": counts.OUTPUT_TOKENS_PER_SECOND_SQL,
                }.items()
            ),
        ),
        gaps=(),
        inputs=counts.INPUTS,
        oracle=counts.oracle,
        shown=("total_tokens", "tokens_per_second", "output_tokens_per_second"),
        keeps_reason=True,
        repeatable=True,
        shared=counts.SHARED,
        leaves="usage_reported IS NULL",
    )


# In the order of their versions; a record passes through all that are newer than its stamp.
MIGRATIONS: Final = (
    migrate_to_version_2_0_0(),
    migrate_to_version_3_0_0(),
    migrate_to_version_4_0_0(),
    migrate_to_version_5_0_0(),
)
