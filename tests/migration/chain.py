"""Migrations that exist only for tests: a chain to 4.0.0 that rewrites what its predecessor wrote."""

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.migration.model import ColumnChange, Gap, Migration
from llm_metrics_proxy.safe_migrations import migrate_to_version_2_0_0
from llm_metrics_proxy.storage.base import SqlValue

_NUMBER: Final = "typeof(tokens_per_second) = 'real'"


def to_3() -> Migration:
    """Twice the rate: rests on what 2.0.0 wrote."""

    def oracle(rate: SqlValue) -> tuple[SqlValue, ...]:
        return (rate * 2, None) if isinstance(rate, float) else (None, "no_rate")

    return Migration(
        version="3.0.0",
        summary="doubled",
        changes=(ColumnChange("tokens_per_second", f"CASE WHEN {_NUMBER} THEN tokens_per_second * 2 END"),),
        gaps=(Gap("no_rate", f"NOT ({_NUMBER})", "there is no rate"),),
        inputs=("tokens_per_second",),
        oracle=oracle,
    )


def to_4() -> Migration:
    """Milliseconds a token, from raw facts."""

    def oracle(tokens: SqlValue, duration_ms: SqlValue) -> tuple[SqlValue, ...]:
        if isinstance(tokens, int) and tokens > 0 and isinstance(duration_ms, float):
            return (duration_ms / tokens, None)
        return (None, "unknown")

    good = "typeof(total_tokens) = 'integer' AND total_tokens > 0 AND typeof(response_time_ms) = 'real'"
    return Migration(
        version="4.0.0",
        summary="inverted",
        changes=(ColumnChange("tokens_per_second", f"CASE WHEN {good} THEN response_time_ms / total_tokens END"),),
        gaps=(Gap("unknown", f"NOT ({good})", "something is missing"),),
        inputs=("total_tokens", "response_time_ms"),
        oracle=oracle,
    )


def chain(*versions: str) -> Sequence[Migration]:
    """The migrations to these versions, in order."""
    every = {"2.0.0": migrate_to_version_2_0_0(), "3.0.0": to_3(), "4.0.0": to_4()}
    return tuple(every[version] for version in versions)


CHAIN: Final = chain("2.0.0", "3.0.0", "4.0.0")
