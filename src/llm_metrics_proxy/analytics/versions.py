"""What each version changed in how stored numbers are read, and how many records follow which version.

Versions are compared here, in Python, never in SQL: as text, '10.0.0' < '2.0.0'.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from semver import Version

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.rows import described
from llm_metrics_proxy.analytics.source import QueryPlan
from llm_metrics_proxy.analytics.sources import source_for


class VersionNote(msgspec.Struct, frozen=True, kw_only=True):
    """What one released version means for stored numbers."""

    version: str
    tokens_per_second: str  # its formula
    changes: str  # what a reader of the numbers must know
    breaking_changes: tuple[str, ...] = ()  # why numbers before and after cannot be compared, one by one
    migrates: bool = False  # records of older versions are recalculated for it


_BY_RESPONSE_TIME: Final = "total_tokens * 1000 / response_time_ms"

# A version that changes nothing about stored numbers needs no note, and may have one.
VERSION_HISTORY: Final = (
    VersionNote(
        version="1.0.0",
        tokens_per_second="total_tokens * 1000 / (time_to_last_token_ms - time_to_first_token_ms)",
        changes="Inflated: prompt tokens are divided by the time of generating alone. "
        "Not streamed answers have none, or an infinite one.",
    ),
    VersionNote(
        version="2.0.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="Divided by the whole response time, so lower than before and not comparable with 1.x. "
        "Prompt tokens still count: it is no generation speed. Missing where either input is missing or not positive. "
        "Every record carries the app_version whose formulas calculated it.",
        breaking_changes=(
            "tokens_per_second is lower than in 1.x for the same requests: it is divided by the whole response time.",
            "tokens_per_second is missing where total_tokens or response_time_ms is missing or not positive.",
            "timestamp is UTC with microseconds; where a record had another form, timestamp_original keeps it.",
        ),
        migrates=True,
    ),
    VersionNote(
        version="2.1.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="No number changes. Databases of 1.x and of other 2.x programs are migrated and their records "
        "recalculated by the formulas of 2.0.0, after a backup and with a way back; text or bytes that stand where a "
        "number belongs count as missing.",
    ),
    VersionNote(
        version="2.2.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="No number changes. Tokens are read from the answers of more APIs (Anthropic, Ollama, OpenAI Responses "
        "and Realtime, llama.cpp), which earlier versions forwarded and recorded without them.",
    ),
    VersionNote(
        version="3.0.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="Errors explain themselves: every record has one of eight outcomes, and what failed has a category, a "
        "type and a phase of one taxonomy. Older records are classified from their status, type and message; their "
        "words stay in outcome_original and error_type_original. No number changes.",
        breaking_changes=(
            (
                "outcome has other values. stream_error is upstream_error now, stream_truncated upstream_truncated, "
                "upstream_timeout timeout; unreachable is network_error; rejected and client_error "
                "proxy_refused; proxy_error and record_lost proxy_crashed."
            ),
            (
                "error_type is a type of the taxonomy; older words are in error_type_original, and the server's own in "
                "upstream_error_code and upstream_error_type."
            ),
        ),
        migrates=True,
    ),
    VersionNote(
        version="4.0.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="Times of tokens are those of streams alone: older programs wrote the response time as time to first "
        "and last token where an answer was not streamed; now there is none, and the value as it was stays in "
        "time_to_first_token_ms_original, time_to_first_output_ms_original and time_to_last_token_ms_original. New: "
        "time_per_output_token_ms = (time_to_last_token_ms - time_to_first_token_ms) / (completion_tokens - 1) and "
        "output_tokens_per_second = (completion_tokens - 1) * 1000 / (time_to_last_token_ms - time_to_first_token_ms), "
        "the speed at which answers are written, for streams with two tokens or more. tokens_per_second is as before.",
        breaking_changes=(
            (
                "time_to_first_token_ms is missing where the answer was not streamed; records of 1.x had the response "
                "time there, so their means were too high. The same goes for time_to_last_token_ms and "
                "time_to_first_output_ms; what was there stays in the column with _original behind its name."
            ),
            (
                "time_per_output_token_ms and output_tokens_per_second are new, for older records too. They leave "
                "prompts and waiting out, so they are no tokens_per_second, which has not changed."
            ),
        ),
        migrates=True,
    ),
    VersionNote(
        version="4.1.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="No number changes. The metrics process serves a dashboard at /, which was 404 before.",
    ),
    VersionNote(
        version="4.2.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="No stored number changes. Roll-ups answer /api/v1/summary and /api/v1/errors too where there are more "
        "than a few thousand records: counts and sums are the same, percentiles of the summary within 1% of what they "
        "were. `source` says so.",
    ),
    VersionNote(
        version="4.3.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="No stored number changes. Files of older programs whose columns have other types than ours answer "
        "every question as our own table does: hours, weekdays, buckets and error rates of most 1.x files were empty.",
    ),
    VersionNote(
        version="5.0.0",
        tokens_per_second=_BY_RESPONSE_TIME,
        changes="Records are in one table of this program's own. Older ones are carried over into it, and the table "
        "from before stays beside it, unchanged. Token counts are read again from usage_reported where it was kept. A "
        "value of an older file that does not fit its column is missing, and counts nowhere; unfit_values has it.",
        breaking_changes=(
            (
                "Token counts, and the rates that rest on them, can differ for records with usage_reported (4.5.0) "
                "that were counted wrongly: they are read again from what the server reported. No other number "
                "changes; cost_usd stays as it was priced."
            ),
            (
                "Text or bytes where a number belongs, fractions where a whole number belongs and numbers that are "
                "not finite count as missing everywhere; in files of other programs some of them were counted."
            ),
            "id of a record is called arrival, in SQL, the API, exports and verbs; host says which machine stored it.",
        ),
        migrates=True,
    ),
)


def precedes(stamp: Any, version: str) -> bool:
    """Whether a record with this ``app_version`` is older than ``version``.

    A stamp that is not a version (NULL, empty, ``v2.0.0``, bytes) is older than any.
    """
    return not isinstance(stamp, str) or not Version.is_valid(stamp) or Version.parse(stamp) < Version.parse(version)


def by_name(counts: Iterable[tuple[Any, int]]) -> dict[str, int]:
    """Counts by the stamp as people see it; stamps that are not versions first, then versions in order."""
    names: Counter[str] = Counter()
    for stamp, n in counts:
        names[described(stamp)] += n
    return dict(sorted(names.items(), key=lambda item: (Version.is_valid(item[0]), _order(item[0]), item[0])))


def records_by_version(records: Records) -> dict[str, int]:
    """Records in the database by app_version, oldest version first; stamps that are not versions come before all.

    Roll-ups know it, unless they know of pruned records too. Raises ``StoreError``.
    """
    sources, everything = records.sources(), QueryPlan(filter=RequestFilter())
    source = source_for(sources, [everything])
    if source is not sources[-1] and source.span() is not None:
        source = sources[-1]
    (result,) = source.read([everything])
    return by_name(result.versions)


def _order(text: str) -> Version:
    return Version.parse(text) if Version.is_valid(text) else Version(0)
