"""The query: a frozen value that describes a question, and refuses one that cannot be answered.

It knows no store, no clock and no range of data; ``planning`` adds those.
"""

from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

import msgspec

from llm_metrics_proxy.analytics.calendar import BUCKETS, WEEKDAYS
from llm_metrics_proxy.analytics.dimensions import dimension
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.slos import MAX_SLOS, Slo
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError

MAX_METRICS: Final = 30
MAX_GROUP_BY: Final = 4
MAX_ROWS: Final = 10_000


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which metrics, of which records, grouped by what. Raises ``QueryError`` if that cannot be answered.

    ``bucket`` belongs to the dimension ``time``; ``None``: the shortest that gives at most 200 buckets. ``order`` is a
    metric or a dimension, descending with ``-`` before it; ``None``: rows in time by time, all others by the first
    metric, largest first. ``limit`` keeps the first groups in that order, each with all its times; the others
    are one row together. ``compare`` adds the values of the period of the same length before. ``week_start``: the day
    on which weeks begin, Monday as ISO 8601 has it.
    """

    metrics: tuple[str, ...] = ("requests",)
    group_by: tuple[str, ...] = ()
    filter: RequestFilter = RequestFilter()
    bucket: str | None = None
    timezone: str = "UTC"
    order: str | None = None
    limit: int = 100
    compare: bool = False
    slos: tuple[Slo, ...] = ()
    week_start: str = WEEKDAYS[0]

    def __post_init__(self) -> None:
        _check_list("metrics", self.metrics, 1, MAX_METRICS)
        _check_list("group_by", self.group_by, 0, MAX_GROUP_BY)
        for name in self.metrics:
            measure(name)
        for name in self.group_by:
            dimension(name)
        if self.bucket is not None and self.bucket not in BUCKETS:
            raise QueryError("bucket", unknown("bucket", self.bucket, BUCKETS))
        if self.bucket is not None and "time" not in self.group_by:
            raise QueryError("bucket", "bucket divides the dimension time: add it to group_by")
        check_timezone(self.timezone)
        check_week_start(self.week_start)
        if self.order is not None and self.order.removeprefix("-") not in (*self.metrics, *self.group_by):
            asked = (*self.metrics, *self.group_by)
            name = self.order.removeprefix("-")
            raise QueryError("order", f"{unknown('metric or dimension', name, asked)} in this query to order by")
        if not 1 <= self.limit <= MAX_ROWS:
            raise QueryError("limit", f"limit must be from 1 to {MAX_ROWS}; it is {self.limit}")
        if len(self.slos) > MAX_SLOS:
            raise QueryError("slo", f"at most {MAX_SLOS} SLOs can be given; there are {len(self.slos)}")
        if "goodput" in self.metrics and not self.slos:
            raise QueryError("slo", "goodput needs an SLO, such as slo=time_to_first_token_ms<500")
        if self.compare and self.filter.start is None:
            raise QueryError("start", "to compare with the period before, say when this one starts")


def _check_list(parameter: str, names: tuple[str, ...], fewest: int, most: int) -> None:
    if not fewest <= len(names) <= most:
        raise QueryError(parameter, f"{parameter} takes {fewest} to {most} names; there are {len(names)}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise QueryError(parameter, f"{twice[:64]} is named twice in {parameter}; once is enough")


def check_week_start(name: str) -> None:
    """Raises ``QueryError`` unless this is a day of the week."""
    if name not in WEEKDAYS:
        raise QueryError("week_start", unknown("day of the week", name, WEEKDAYS))


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def check_timezone(name: str) -> None:
    """Raises ``QueryError`` unless this is the name of an IANA zone."""
    zones = _timezones()
    if name not in zones:
        known = sorted(zones) if any(name[:3].lower() == zone[:3].lower() for zone in zones) else ["UTC"]
        hint = unknown("time zone", name, known) if len(name) <= 64 else "there is no such time zone"
        hint = hint.split("; there are:")[0]
        raise QueryError("timezone", f"{hint}; give an IANA name such as Europe/Berlin")
