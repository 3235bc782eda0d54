"""Addresses of the dashboard's views that show what an answer is about. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from llm_metrics_proxy.analytics.moments import stored_time

# Spans that the dashboard's links have words for; others are written as two moments.
SPANS: Final = ("15m", "1h", "6h", "24h", "7d", "30d", "90d", "all")
USUAL: Final = "24h"  # not written


class ShownRecords(NamedTuple):
    """Which records: ``span`` if it is one of ``SPANS`` up to now, else ``start`` and ``end``; and conditions."""

    span: str | None
    start: datetime | None
    end: datetime | None
    where: tuple[str, ...] = ()


def link(base: str, view: str, shown: ShownRecords, more: Mapping[str, str | None] | None = None) -> str:
    """``base``: the dashboard's own address, with its slash; ``more``: what else the view's links may say."""
    words = [("range", text)] if (text := _range(shown)) is not None else []
    words += [_keyed(condition) for condition in shown.where]
    words += [(name, value) for name, value in (more or {}).items() if value]
    return f"{base}{view}{'?' if words else ''}{urlencode(words)}"


def _range(shown: ShownRecords) -> str | None:
    if shown.span is not None:
        return None if shown.span == USUAL else shown.span
    if shown.start is None or shown.end is None:
        return SPANS[-1]
    return f"{stored_time(shown.start)}..{stored_time(shown.end)}"


def _keyed(condition: str) -> tuple[str, str]:
    """A condition as a word of a query string and its value, as the dashboard cuts it."""
    name, _, value = condition.partition("=")
    return name, value


def explored(metrics: Sequence[str], by: Sequence[str], *, compare: bool, bucket: str | None) -> dict[str, str | None]:
    """What a link to Explore says: the first metric, and at most two dimensions beside time."""
    divided = [name for name in by if name != "time"]
    first, second = (*divided, None, None)[:2]
    return {
        "metric": metrics[0],
        "by": first,
        "and": second,
        "as": "ranking" if divided and "time" not in by else None,
        "bucket": bucket if "time" in by else None,
        "compare": "true" if compare else None,
    }
