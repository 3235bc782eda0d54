"""Which version a record follows, compared as SemVer and in Python alone: as text, '10.0.0' < '2.0.0'.

A stamp is whatever a file has in ``app_version``. What is not a strict SemVer version (NULL, empty, with a
space or a ``v``, a number, bytes) is unreadable, and treated as the oldest: recomputing is harmless, because formulas
are pure functions of raw facts. Build metadata does not count, a pre-release comes before its release.
"""

from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import apsw
from semver import Version

from llm_metrics_proxy.migration.invalid_text import read_rows
from llm_metrics_proxy.migration.model import describe_stamp
from llm_metrics_proxy.storage.sqlite_schema import TABLE


class Standing(StrEnum):
    """Of one stamp, compared with the program."""

    CURRENT = "current"  # a version up to the program's; whether formulas changed since, the migrations know
    NEWER = "newer"  # only a newer program knows what the numbers mean
    UNREADABLE = "unreadable"


@lru_cache(1024)  # a foreign file may have as many stamps as records
def _parse(text: str) -> Version | None:
    return Version.parse(text) if Version.is_valid(text) else None


def _version(stamp: Any) -> Version | None:
    return _parse(stamp) if isinstance(stamp, str) else None


def standing(stamp: Any, program: str) -> Standing:
    """How a stamp compares with the program's version."""
    version = _version(stamp)
    if version is None:
        return Standing.UNREADABLE
    return Standing.NEWER if version.compare(program) > 0 else Standing.CURRENT


def is_older(stamp: Any, target: str) -> bool:
    """Whether a record with this stamp lacks what ``target`` brought; unreadable ones do."""
    version = _version(stamp)
    return version is None or version.compare(target) < 0


class Census(NamedTuple):
    """How many records bear which stamp, the stamps as they are stored."""

    counts: tuple[tuple[Any, int], ...]

    def older_than(self, target: str) -> list[Any]:
        """Stamps that lack what ``target`` brought."""
        return [stamp for stamp, _count in self.counts if is_older(stamp, target)]

    def newer_than(self, program: str) -> list[str]:
        """Stamps of a newer program, newest last."""
        return [stamp for stamp, _count in self.ordered() if standing(stamp, program) is Standing.NEWER]

    def unreadable(self) -> list[Any]:
        """Stamps that are not versions."""
        return [stamp for stamp, _count in self.counts if _version(stamp) is None]

    def ordered(self) -> list[tuple[Any, int]]:
        """Oldest first; stamps that are not versions come before all, by description."""
        versions = [item for item in self.counts if _version(item[0]) is not None]
        others = sorted((item for item in self.counts if _version(item[0]) is None), key=lambda i: describe_stamp(i[0]))
        return [*others, *sorted(versions, key=lambda item: (_parse(item[0]) or Version(0), item[0]))]

    def by_name(self) -> dict[str, int]:
        """As ``ordered``, with stamps as people and JSON see them."""
        counts: dict[str, int] = {}
        for stamp, count in self.ordered():
            counts[describe_stamp(stamp)] = counts.get(describe_stamp(stamp), 0) + count
        return counts


def take_census(connection: apsw.Connection, *, table: str = TABLE, above: int = 0) -> Census:
    """Count the records by stamp; of our own table, only those that arrived after ``above``, where given.

    A table without stamps has records without one.
    """
    columns = connection.execute("SELECT 1 FROM pragma_table_xinfo(?) WHERE lower(name) = 'app_version'", (table,))
    if columns.fetchone() is None:
        records = connection.execute(f"SELECT count(*) FROM {table}").get  # noqa: S608 -- ours
        return Census(((None, records),) if records else ())
    where = f" WHERE arrival > {above}" if above else ""
    counting = f"SELECT app_version, count(*) FROM {table}{where} GROUP BY app_version"  # noqa: S608 -- ours
    return Census(tuple((stamp, count) for stamp, count in read_rows(connection, counting, (), 2)))
