"""What each version changed in how stored numbers are read, and how many records follow which version."""

from typing import Final

import msgspec
from semver import Version

from llm_metrics_proxy.storage.base import Reader


class VersionNote(msgspec.Struct, frozen=True, kw_only=True):
    """One released version, as far as the meaning of stored numbers goes."""

    version: str
    tokens_per_second: str  # its formula
    changes: str  # what a reader of the numbers must know


VERSION_HISTORY: Final = (
    VersionNote(
        version="1.0.0",
        tokens_per_second="total_tokens * 1000 / (time_to_last_token_ms - time_to_first_token_ms)",
        changes="Inflated: prompt tokens are divided by the time of generating alone. "
        "Not streamed answers have none, or an infinite one.",
    ),
    VersionNote(
        version="2.0.0",
        tokens_per_second="total_tokens * 1000 / response_time_ms",
        changes="Divided by the whole response time, so lower than before and not comparable with 1.x. "
        "Prompt tokens still count: it is no generation speed. Missing where either input is missing or not positive. "
        "Every record carries the app_version whose formulas calculated it.",
    ),
)


def records_by_version(reader: Reader) -> dict[str, int]:
    """Records in the database by app_version, oldest version first; what is no version comes before all.

    Versions are ordered here, never in SQL: as text, '10.0.0' < '2.0.0'. Raises ``StoreError``.
    """
    rows = reader.query("SELECT app_version, count(*) FROM completion_requests GROUP BY app_version")
    return dict(sorted(rows, key=lambda row: (Version.is_valid(row[0]), _order(row[0]), row[0])))


def _order(text: str) -> Version:
    return Version.parse(text) if Version.is_valid(text) else Version(0)
