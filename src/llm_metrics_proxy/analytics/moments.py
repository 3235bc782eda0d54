"""Moments as people write them and as records have them: text whose order is that of time. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from llm_metrics_proxy.errors import QueryError


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


_AGE: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment_or_age(text: str, parameter: str, now: datetime) -> datetime:
    """The same, or an age such as ``24h`` counted back from ``now``, which is aware. Raises ``QueryError``."""
    age = _AGE.fullmatch(text)
    if age is None:
        try:
            return parse_time(text, parameter)
        except QueryError as error:
            raise QueryError(parameter, f"{parameter}: {error}; or give an age such as 24h") from error
    try:
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    except OverflowError as error:
        raise QueryError(parameter, f"{parameter}: {text} ago is before the calendar begins") from error


def _moment(text: str) -> datetime | None:
    if not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # 30 February; a zone that pushes year 1 or 9999 over the edge
        return None
