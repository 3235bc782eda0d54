"""Timestamps of older programs, brought to the one form that sorts as text: ``YYYY-MM-DDTHH:MM:SS.ffffffZ``.

The rule, which nothing but the text itself decides:

* Readable is ``YYYY-MM-DD``, or that with ``T`` or one space, ``HH:MM``, then optionally ``:SS``, then optionally ``.``
  or ``,`` and digits, then optionally a zone. All digits are ASCII; the day must exist in the years 0001 to 9999, hours
  go to 23, minutes and seconds to 59.
* The zone is ``Z``, ``z``, ``UTC``, ``+HH:MM``, ``+HHMM`` or ``+HH`` (or ``-``), up to 23:59, one space before it
  allowed. It is applied. **A text without a zone is taken for UTC**: older programs wrote both local time and UTC that
  way, and nothing in the file tells them apart; the text as it was stays in ``timestamp_original``.
* A day alone is its midnight, missing seconds are 0, fractions are cut (never rounded) or padded to six digits.
* Everything else stays exactly what it is: other text, one that its zone would move out of those years, numbers, blobs
  and NULL. A number is no reading of a clock that this could know: seconds, milliseconds and days look alike.

The rule is written twice, in SQL that runs over millions of records and in Python that checks it, and the two must
agree on every value. In the SQL, what is common comes first: it costs 0.5 to 2 microseconds, other zones 5.
"""
# ruff: noqa: S608 -- the SQL is put together from texts of this file and column names of ours

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from llm_metrics_proxy.storage.base import SqlValue

_DIGIT: Final = "[0-9]"
_DATE: Final = f"{_DIGIT * 4}-[01]{_DIGIT}-[0-3]{_DIGIT}"
_TIME: Final = f"[0-2]{_DIGIT}:[0-5]{_DIGIT}:[0-5]{_DIGIT}"
_OFFSET_HOUR: Final = f"[+-][0-2]{_DIGIT}"
_YEAR_1_S: Final = -62135596800  # 0001-01-01T00:00:00Z, seconds from 1970
_YEAR_9999_S: Final = 253402300799  # 9999-12-31T23:59:59Z


def _is_day(text: str) -> str:
    # date() takes 2025-02-30 for 2025-03-02, so a day exists if it comes back as it went in
    return f"({text} > '0001' AND date({text}) IS {text})"


def is_normal_sql(column: str = "timestamp") -> str:
    """SQL, 1 or 0: the value of ``column`` (a name, quoted where it needs to be) has the normal form."""
    # SQLite's text functions stop at a NUL, and read numbers and blobs as text: both are ruled out first
    return (
        f"(typeof({column}) = 'text' AND {column} GLOB '{_DATE}T{_TIME}.{_DIGIT * 6}Z' "
        f"AND substr({column}, 12, 2) < '24' AND {_is_day(f'substr({column}, 1, 10)')} "
        f"AND instr({column}, char(0)) = 0)"
    )


def normalised_sql(column: str = "timestamp") -> str:
    """SQL for the normal form of ``column``, or for its value as it is where that cannot be read as a time."""
    tail = f"substr({column}, 20)"
    utc = (
        f"{column} GLOB '{_DATE}[T ]{_TIME}*' AND substr({column}, 12, 2) < '24' "
        f"AND {_is_day(f'substr({column}, 1, 10)')} AND ({tail} IN ('', 'Z', '+00:00') OR ({tail} GLOB '.{_DIGIT}*' "
        f"AND ltrim(substr({column}, 21), '0123456789') IN ('', 'Z', '+00:00')))"
    )
    digits = f"substr(substr(rtrim(replace({tail}, '+00:00', ''), 'Z'), 2) || '000000', 1, 6)"
    padded = f"substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) || '.' || {digits} || 'Z'"
    return (
        f"CASE WHEN {naive(column)} THEN replace({column}, ' ', 'T') || 'Z' "
        f"WHEN typeof({column}) <> 'text' OR instr({column}, char(0)) <> 0 THEN {column} "
        f"WHEN {is_normal_sql(column)} THEN {column} WHEN {utc} THEN {padded} "
        f"ELSE coalesce({_any_form(column)}, {column}) END"
    )


def naive(column: str) -> str:
    """SQL, 1 or 0: what Python's ``datetime.now().isoformat()`` gives, which most older records have."""
    # as many bytes as the pattern has characters: so no NUL hides what comes after it
    return (
        f"({column} GLOB '{_DATE}[T ]{_TIME}.{_DIGIT * 6}' AND octet_length({column}) = 26 "
        f"AND typeof({column}) = 'text' AND substr({column}, 12, 2) < '24' AND {_is_day(f'substr({column}, 1, 10)')})"
    )


def needs_original_sql(column: str = "timestamp") -> str:
    """SQL, 1 or 0: the value is not in the normal form. One that cannot be read keeps its original too."""
    return f"NOT (octet_length({column}) = 27 AND {is_normal_sql(column)})"


def _any_form(column: str) -> str:
    """A scalar subquery: the normal form of any readable text without NUL, else NULL. Each level cuts one more part.

    Each LIMIT keeps SQLite from writing a level's expressions out wherever the next one names them: 5 us, not 18.
    """
    parts = (
        f"SELECT substr({column}, 1, 10) AS day, substr({column}, 11, 6) AS minute, substr({column}, 17, 3) AS second, "
        f"length({column}) = 10 AS is_day_alone, substr({column}, 17) AS after_minute, substr({column}, 20) AS rest"
    )
    clock = (
        "SELECT day, is_day_alone, CASE WHEN is_day_alone THEN '00:00:00' WHEN minute NOT GLOB '[T ]?????' THEN NULL "
        f"WHEN second GLOB ':{_DIGIT}{_DIGIT}' THEN substr(minute, 2) || second ELSE substr(minute, 2) || ':00' END "
        f"AS time, CASE WHEN second GLOB ':{_DIGIT}{_DIGIT}' THEN rest ELSE after_minute END AS rest, "
        f"second GLOB ':{_DIGIT}{_DIGIT}' AND rest GLOB '[.,]{_DIGIT}*' AS has_fraction FROM ({parts} LIMIT 1)"
    )
    fraction = (
        "SELECT day, time, CASE WHEN has_fraction THEN ltrim(substr(rest, 2), '0123456789') ELSE rest END AS zone, "
        "CASE WHEN has_fraction THEN substr(rest, 2) ELSE '' END AS digits "
        f"FROM ({clock} LIMIT 1)"
    )
    zone = (
        "SELECT day, time, substr(substr(digits, 1, length(digits) - length(zone) * (digits <> '')) || '000000', 1, 6) "
        f"AS digits, CASE WHEN zone GLOB ' ?*' THEN substr(zone, 2) ELSE zone END AS zone FROM ({fraction} LIMIT 1)"
    )
    offset = (
        "SELECT day, time, digits, CASE WHEN zone IN ('', 'Z', 'z', 'UTC') THEN 0 "
        f"WHEN (zone GLOB '{_OFFSET_HOUR}' OR zone GLOB '{_OFFSET_HOUR}[0-5]{_DIGIT}' "
        f"OR zone GLOB '{_OFFSET_HOUR}:[0-5]{_DIGIT}') AND substr(zone, 2, 2) < '24' "
        "THEN (substr(zone, 2, 2) * 3600 + substr(replace(zone, ':', ''), 4) * 60) "
        "* CASE substr(zone, 1, 1) WHEN '-' THEN -1 ELSE 1 END END AS ahead_s "
        f"FROM ({zone} LIMIT 1)"
    )
    seconds = (
        f"SELECT digits, unixepoch(day || ' ' || time) - ahead_s AS utc_s FROM ({offset} LIMIT 1) "
        f"WHERE day GLOB '{_DATE}' AND {_is_day('day')} AND time GLOB '{_TIME}' AND time < '24'"
    )
    return (
        "(SELECT strftime('%Y-%m-%dT%H:%M:%S', utc_s, 'unixepoch') || '.' || digits || 'Z' "
        f"FROM ({seconds} LIMIT 1) WHERE utc_s BETWEEN {_YEAR_1_S} AND {_YEAR_9999_S})"
    )


IS_NORMAL_SQL: Final = is_normal_sql()
NORMALISED_SQL: Final = normalised_sql()
NEEDS_ORIGINAL_SQL: Final = needs_original_sql()

_READABLE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?: ?(Z|z|UTC|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
)


_NAIVE: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\.\d{6}", re.ASCII).fullmatch


def normalise(value: SqlValue) -> SqlValue:
    """What ``NORMALISED_SQL`` gives for ``value``, worked out apart from it: the oracle of every migration."""
    if isinstance(value, str) and _NAIVE(value):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return value
        return f"{value[:10]}T{value[11:]}Z"
    match = _READABLE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    *fields, fraction, zone = match.groups(default="")
    year, month, day, hour, minute, second = (int(field or "0") for field in fields)
    try:
        moment = datetime(year, month, day, hour, minute, second, int(f"{fraction:0<6.6}"), _zone(zone))
        return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    except (ValueError, OverflowError):  # no such day or hour; or its zone moves it out of the years
        return value


def _zone(text: str) -> timezone:
    """Raises ``ValueError`` for an impossible offset."""
    if text in {"", "Z", "z", "UTC"}:
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or "0")
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if text[0] == "-" else ahead)
