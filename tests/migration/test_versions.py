"""Which version a stamp names, and where it stands: one table of everything that can stand in ``app_version``."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.migration.versions import Census, Standing, is_older, standing, take_census

PROGRAM: Final = "2.1.0"
TARGET: Final = "2.0.0"

# stamp, its standing beside PROGRAM, whether it lacks what TARGET brought; in the order that ``ordered`` gives.
TABLE: Final[tuple[tuple[Any, Standing, bool], ...]] = (
    ("", Standing.UNREADABLE, True),
    (" 2.0.0 ", Standing.UNREADABLE, True),
    (None, Standing.UNREADABLE, True),  # described as "(none)"
    ("(none)", Standing.UNREADABLE, True),
    ("02.0.0", Standing.UNREADABLE, True),
    (2.0, Standing.UNREADABLE, True),
    ("2.0", Standing.UNREADABLE, True),
    ("2.0.0\n", Standing.UNREADABLE, True),
    ("2.0.0-", Standing.UNREADABLE, True),
    ("2.0.0.0", Standing.UNREADABLE, True),
    (7, Standing.UNREADABLE, True),
    ("9" * 5000 + ".0.0", Standing.UNREADABLE, True),  # more digits than Python makes a number of
    (b"2.0.0", Standing.UNREADABLE, True),
    (b"\xff\x00", Standing.UNREADABLE, True),
    ("garbage", Standing.UNREADABLE, True),
    ("v2.0.0", Standing.UNREADABLE, True),
    ("\u00a02.0.0", Standing.UNREADABLE, True),
    ("\u0662.0.0", Standing.UNREADABLE, True),  # a digit, but none of ASCII's
    ("0.9.0", Standing.CURRENT, True),
    ("1.0.0-rc.2", Standing.CURRENT, True),
    ("1.0.0-rc.10", Standing.CURRENT, True),
    ("1.0.0", Standing.CURRENT, True),
    ("1.0.0+build.5", Standing.CURRENT, True),
    ("1.2.0", Standing.CURRENT, True),
    ("1.10.0", Standing.CURRENT, True),
    ("2.0.0-rc.1", Standing.CURRENT, True),
    ("2.0.0", Standing.CURRENT, False),
    ("2.0.0+build.5", Standing.CURRENT, False),
    ("2.1.0-alpha", Standing.CURRENT, False),
    ("2.1.0", Standing.CURRENT, False),
    ("2.1.0+later", Standing.CURRENT, False),
    ("2.1.1-rc.1", Standing.NEWER, False),
    ("2.1.1", Standing.NEWER, False),
    ("2.10.0", Standing.NEWER, False),
    ("3.0.0-alpha", Standing.NEWER, False),
    ("10.0.0", Standing.NEWER, False),  # as text it were the smallest of all
    ("99999999999999999999.0.0", Standing.NEWER, False),
)
STAMPS: Final = [stamp for stamp, _standing, _older in TABLE]


@pytest.mark.parametrize(("stamp", "expected", "older"), TABLE, ids=[repr(stamp)[:40] for stamp in STAMPS])
def test_a_stamp_stands_where_the_table_says(stamp: Any, expected: Standing, older: bool) -> None:
    assert standing(stamp, PROGRAM) is expected
    assert is_older(stamp, TARGET) is older


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A file with two records of every stamp, those of the table's end first, in a column that converts nothing."""
    opened = apsw.Connection(str(tmp_path / "metrics.db"))
    opened.execute("CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, app_version)")
    rows = [(stamp,) for stamp in [*reversed(STAMPS), *STAMPS]]
    with opened:
        opened.executemany("INSERT INTO completion_requests (app_version) VALUES (?)", rows)
    yield opened
    opened.close()


def test_a_census_keeps_every_stamp_apart_as_it_is_stored(connection: apsw.Connection) -> None:
    census = take_census(connection)
    assert census.ordered() != list(census.counts), "the file's order would pass by chance"
    _assert_alike([stamp for stamp, _count in census.ordered()], STAMPS)
    assert {count for _stamp, count in census.counts} == {2}


def test_a_census_sorts_stamps_by_what_has_to_be_done_with_them(connection: apsw.Connection) -> None:
    census = take_census(connection)
    _assert_alike(sorted(census.older_than(TARGET), key=_place), [stamp for stamp, _standing, older in TABLE if older])
    _assert_alike(
        sorted(census.unreadable(), key=_place), [stamp for stamp, where, _ in TABLE if where is Standing.UNREADABLE]
    )
    assert census.newer_than(PROGRAM) == [stamp for stamp, where, _ in TABLE if where is Standing.NEWER]


def test_a_census_is_named_for_people_without_losing_a_record(connection: apsw.Connection) -> None:
    named = take_census(connection).by_name()
    assert sum(named.values()) == 2 * len(TABLE)
    assert named["(none)"] == 4, "NULL and the text that reads like it are added up"
    assert (named["7"], named["2.0"], named["b'2.0.0'"]) == (2, 4, 2), "2.0 the number and '2.0' the text read alike"
    assert list(named)[-1] == "99999999999999999999.0.0"


@pytest.mark.parametrize(("above", "records"), [(0, 5), (3, 2), (5, 0)])
def test_a_census_of_our_own_table_counts_only_what_came_since(above: int, records: int) -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        connection.execute("CREATE TABLE completion_requests (arrival INTEGER PRIMARY KEY, app_version)")
        connection.execute("INSERT INTO completion_requests (app_version) VALUES (1), (2), (3), (4), (5)")
        assert sum(count for _stamp, count in take_census(connection, above=above).counts) == records


def test_records_without_a_column_of_stamps_have_none() -> None:
    with closing(apsw.Connection(":memory:")) as connection:
        connection.execute("CREATE TABLE older (id)")
        assert take_census(connection, table="older") == Census(())
        connection.execute("INSERT INTO older VALUES (1), (2)")
        assert take_census(connection, table="older") == Census(((None, 2),))


def test_a_census_of_nothing_is_empty() -> None:
    nothing = Census(())
    assert (nothing.ordered(), nothing.by_name(), nothing.older_than("2.0.0")) == ([], {}, [])


def _place(stamp: Any) -> int:
    return next(index for index, known in enumerate(STAMPS) if (type(known), known) == (type(stamp), stamp))


def _assert_alike(found: list[Any], expected: list[Any]) -> None:
    """Equal, and of the same types: 2 and 2.0 are equal in Python."""
    assert [(type(stamp), stamp) for stamp in found] == [(type(stamp), stamp) for stamp in expected]
