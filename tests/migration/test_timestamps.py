"""Timestamps: the rule by example, and its two writings against each other on every kind of value."""

import math
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.migration.timestamps import (
    IS_NORMAL_SQL,
    NORMALISED_SQL,
    is_normal_sql,
    normalise,
    normalised_sql,
)
from tests.examples import examples

UTF_8, UTF_16 = "UTF-8", "UTF-16le"
READ = [
    ("2025-06-01T12:34:56.123456Z", "2025-06-01T12:34:56.123456Z"),
    ("2025-06-01T12:34:56.123456", "2025-06-01T12:34:56.123456Z"),
    ("2025-06-01 12:34:56", "2025-06-01T12:34:56.000000Z"),
    ("2025-06-01T12:34:56.7", "2025-06-01T12:34:56.700000Z"),
    ("2025-06-01 12:34:56,789", "2025-06-01T12:34:56.789000Z"),
    ("2025-06-01T12:34:56.1234569", "2025-06-01T12:34:56.123456Z"),
    ("2025-06-01T12:34:56.123456999999Z", "2025-06-01T12:34:56.123456Z"),
    ("2025-06-01T12:34Z", "2025-06-01T12:34:00.000000Z"),
    ("2025-06-01 12:34", "2025-06-01T12:34:00.000000Z"),
    ("2025-06-01", "2025-06-01T00:00:00.000000Z"),
    ("2025-06-01T12:34:56z", "2025-06-01T12:34:56.000000Z"),
    ("2025-06-01T12:34:56.5 UTC", "2025-06-01T12:34:56.500000Z"),
    ("2025-06-01T12:34:56+00:00", "2025-06-01T12:34:56.000000Z"),
    ("2025-06-01 12:34:56.12+00:00", "2025-06-01T12:34:56.120000Z"),
    ("2025-06-01T12:34:56Z", "2025-06-01T12:34:56.000000Z"),
    ("2025-06-01T12:34:56.123456-00:00", "2025-06-01T12:34:56.123456Z"),
    ("2025-06-01T01:34:56.123+02:00", "2025-05-31T23:34:56.123000Z"),
    ("2025-06-01 12:34:56 +0530", "2025-06-01T07:04:56.000000Z"),
    ("2025-12-31 23:34-03", "2026-01-01T02:34:00.000000Z"),
    ("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59.000000Z"),
    ("0001-01-01T00:00:00", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31T23:59:59.999999999", "9999-12-31T23:59:59.999999Z"),
]
UNREADABLE: list[Any] = [
    None, 0, 1, -1, 1_748_781_296, 1_748_781_296.25, -0.0, math.inf, 2**63 - 1, 20250601,
    b"2025-06-01T12:34:56.123456Z", b"2025-06-01", b"", "", " ", "now", "unknown",
    "2025-02-29T00:00:00.000000Z", "2025-04-31", "2025-13-01T00:00:00.000000Z", "2025-00-10", "2025-06-00",
    "0000-06-01",
    "2025-06-01T24:00:00.000000Z", "2025-06-01T24:00:00", "2025-06-01T12:60:00", "2025-06-01T12:34:60.000000Z",
    "2025-06-01T12:34:56.", "2025-06-01T12:34:56.Z", "2025-06-01T12:34.5", "2025-06-01T12", "2025-06-01T",
    "2025-06-01Z", "2025-06-01+02:00", "2025-06-01t12:34:56Z", "2025-06-01  12:34:56", "2025-6-1 12:34:56",
    "2025-06-01T12:34:56 ", "2025-06-01T12:34:56  Z", " 2025-06-01T12:34:56", "2025-06-01T12:34:56\n",
    "2025-06-01T12:34:56+24:00", "2025-06-01T12:34:56+02:60", "2025-06-01T12:34:56+2", "2025-06-01T12:34:56+02:0",
    "2025-06-01T12:34:56+02:00:00", "2025-06-01T12:34:56 utc", "2025-06-01T12:34:56ZZ", "2025-06-01T12:34:56+00:00Z",
    "2025-06-01T12:34:56.+00:00", "20250601T123456Z", "2460828.02",
    "2025-06-01T12:34:56.123456Z\0", "2025-06-01T12:34:56.123456\0tail", "2025-06-01\0", "\0",
    "٢٠٢٥-06-01T12:34:56", "2025-06-01T12:34:56.12345٦",
    "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
]  # fmt: skip


@pytest.fixture(scope="module", params=[UTF_8, UTF_16])
def connection(request: pytest.FixtureRequest) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"PRAGMA encoding = '{request.param}'")
    # a collation that takes unlike texts for equal, as a foreign file may declare
    connection.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, timestamp COLLATE NOCASE, "a""b" COLLATE RTRIM)')
    yield connection
    connection.close()


def in_sql(connection: apsw.Connection, value: Any) -> tuple[str, Any, int]:
    """Storage class and value that SQLite gives, and whether it was normal."""
    connection.execute("DELETE FROM t")
    connection.execute("INSERT INTO t (timestamp) VALUES (?)", (value,))
    found: tuple[str, Any, int]
    (found,) = connection.execute(
        f"SELECT typeof(new), new, normal FROM (SELECT {NORMALISED_SQL} AS new, {IS_NORMAL_SQL} AS normal FROM t)"
    )
    return found


def in_python(value: Any) -> tuple[str, Any, int]:
    kinds = {str: "text", bytes: "blob", int: "integer", float: "real", type(None): "null"}
    new = normalise(value)
    if isinstance(new, float) and math.isnan(new):
        return "null", None, 0
    # without its Z it is read as UTC too, and must come back with it
    normal = isinstance(value, str) and len(value) == 27 and value.endswith("Z") and normalise(value[:-1]) == value
    return kinds[type(new)], new, int(normal)


@pytest.mark.parametrize(("value", "normal"), READ)
def test_what_can_be_read(connection: apsw.Connection, value: str, normal: str) -> None:
    assert normalise(value) == normal
    assert in_sql(connection, value) == ("text", normal, int(value == normal))


@pytest.mark.parametrize("value", UNREADABLE)
def test_what_stays_as_it_is(connection: apsw.Connection, value: Any) -> None:
    assert normalise(value) is value
    assert in_sql(connection, value) == in_python(value)
    assert in_sql(connection, value)[1:] == (value, 0)


def test_the_normal_form_stays(connection: apsw.Connection) -> None:
    for value, normal in READ:
        assert normalise(normalise(value)) == normal
        assert in_sql(connection, in_sql(connection, value)[1]) == ("text", normal, 1)


def test_every_day_of_a_leap_year_and_of_a_common_one(connection: apsw.Connection) -> None:
    days = [f"{year}-{month:02}-{day:02}" for year in (2024, 2100) for month in range(14) for day in range(33)]
    connection.execute("DELETE FROM t")
    connection.executemany("INSERT INTO t (timestamp) VALUES (?)", [(day,) for day in days])
    assert [new for (new,) in connection.execute(f"SELECT {NORMALISED_SQL} FROM t ORDER BY id")] == [
        normalise(day) for day in days
    ]
    assert sum(normalise(day) != day for day in days) == 366 + 365


def test_any_column_can_be_named(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM t")
    connection.execute("""INSERT INTO t (timestamp, "a""b") VALUES ('2025-06-01', '2025-06-02 03:04')""")
    ((new, normal),) = connection.execute(
        f"""SELECT {normalised_sql('old."a""b"')}, {is_normal_sql('"a""b"')} FROM t AS old"""
    )
    assert (new, normal) == ("2025-06-02T03:04:00.000000Z", 0)


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats()
ANYTHING = st.none() | NUMBERS | st.binary(max_size=40) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TWO_DIGITS = st.integers(0, 12).map("{:02}".format) | st.integers(0, 99).map("{:02}".format)
NEARLY = st.builds(
    lambda *parts: "".join(parts),
    st.integers(0, 9999).map("{:04}".format) | st.sampled_from(["0000", "0001", "2024", "2025", "9999", "25"]),
    TWO_DIGITS.map("-{}".format), TWO_DIGITS.map("-{}".format),
    st.sampled_from(["T", " ", "t", "", "  ", "T"]),
    TWO_DIGITS | st.just(""), TWO_DIGITS.map(":{}".format) | st.just(""), TWO_DIGITS.map(":{}".format) | st.just(""),
    st.just("") | st.text("0123456789", max_size=9).map(".{}".format) | st.just(",5") | st.just(".5.5"),
    st.sampled_from(["", "Z", "z", "+00:00", "+0200", "-03", " +05:30", "UTC", " ", "Z ", "-", "\0", "-23:59", "é"]),
)  # fmt: skip


@examples(1500)
@given(ANYTHING | NEARLY | st.datetimes().map(lambda moment: moment.isoformat()))
@example(math.nan)
def test_both_writings_of_the_rule_agree(connection: apsw.Connection, value: Any) -> None:
    assert in_sql(connection, value) == in_python(value)
