"""Which records a question is about: a frozen value."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.wire.error_types import CATEGORIES, OUTCOMES, PHASES, TAXONOMY

NO_VALUE: Final = "(none)"  # of app_version: records without one
# Conditions whose words are ours: another word would select nothing, and look like "there was no such error".
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "outcome": OUTCOMES,
    "error_category": CATEGORIES,
    "error_type": tuple(dict.fromkeys(row.type for row in TAXONOMY)),  # upstream and proxy both have `internal`
    "error_phase": PHASES,
}


_VALUES: Final[dict[str, type]] = {"flag": bool, "integer": int}  # by what the column holds; text otherwise
# The order that clients know the parameters in; a newer filter comes behind these.
_ORDER: Final = (
    "model", "origin", "backend", "endpoint", "streaming", "success", "status_code", "outcome", "error_category",
    "error_type", "error_phase", "app_version", "backend_name", "user", "user_agent", "api_key_id", "trace_id", "tag",
)  # fmt: skip
# Every column that records can be filtered by, under the filter's name.
FILTERED: Final[dict[str, Column]] = {
    column.filter_name: column
    for column in sorted(
        (column for column in REGISTRY.values() if column.filter is not None),
        key=lambda column: (*_ORDER, column.filter_name).index(column.filter_name),
    )
}
# Those by which an objective or an alert can say which requests it is about.
RULED: Final = {
    name: column
    for name, column in sorted(FILTERED.items(), key=lambda row: row[1].place)
    if column.filter is not None and column.filter.rule is not None
}


def value_type(column: Column) -> type:
    """What a filter by this column compares with."""
    return _VALUES.get(column.kind.holds, str)


_Conditions: Any = msgspec.defstruct(
    "_Conditions",
    [
        ("start", datetime | None, None),
        ("end", datetime | None, None),
        *((name, value_type(column) | None, None) for name, column in FILTERED.items()),
    ],
    frozen=True,
    kw_only=True,
)


class RequestFilter(_Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):  # type: ignore[misc,call-arg]
    """Records that meet every condition that is set; ``None`` sets none. Raises ``QueryError`` if none could.

    ``start`` is inclusive, ``end`` exclusive, so that neighbouring ranges share no record. A naive time is UTC. The
    ``app_version`` ``NO_VALUE`` means records without one. What has a list in ``WORDS`` must be on it. ``tag`` is
    ``k=v``, or several that must all be there, separated by commas.
    """

    if TYPE_CHECKING:
        start: datetime | None
        end: datetime | None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and stored_time(self.start) >= stored_time(self.end):
            raise QueryError("start", "start must be before end: start is inclusive and end exclusive")
        if self.status_code is not None and not 100 <= self.status_code <= 599:
            raise QueryError("status_code", f"{self.status_code} is not an HTTP status; they run from 100 to 599")
        for field, words in WORDS.items():
            given = getattr(self, field)
            if given is not None and given not in words:
                raise QueryError(field, f"there is no {field} {given[:64]!r}; there are: {', '.join(words)}")
        if self.tag is not None and not all("=" in tag for tag in tags_in(self.tag)):
            raise QueryError("tag", f"{self.tag[:64]!r} is not a tag: give k=v, or several separated by commas")


def tags_in(text: str) -> list[str]:
    """The tags of a filter, as the column holds each."""
    return [tag.strip() for tag in text.split(",")]


def aware(moment: datetime) -> datetime:
    """In UTC; a naive time is UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def stored_time(moment: datetime) -> str:
    """As the column ``timestamp`` holds it: UTC, six decimals, Z; of one width, so that text order is time order."""
    return f"{aware(moment).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


# Stricter than datetime.fromisoformat, which takes any character between date and time, and a run of digits for both.
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII | re.IGNORECASE
)


def parse_time(text: str, parameter: str) -> datetime:
    """An ISO 8601 date or time as an aware ``datetime`` in UTC. Raises ``QueryError`` that names ``parameter``.

    A naive time is UTC, and a date alone is the start of that day. What is finer than a microsecond is cut off.
    """
    moment = _moment(text)
    if moment is not None:
        return moment
    hint = " (in a URL, write + as %2B)" if "T" in text and " " in text else ""
    raise QueryError(
        parameter,
        f"{text[:64]!r} is not an ISO 8601 date or time such as 2026-01-31 or 2026-01-31T12:00:00+01:00{hint}",
    )


def _moment(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # 30 February; a zone that pushes year 1 or 9999 over the edge
        return None
