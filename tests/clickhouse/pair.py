"""The same records in both engines, and what is the same between two answers."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import isclose
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.analytics.source import Needs, QueryPlan, Source, SourceResult
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.expressions import literal
from llm_metrics_proxy.engines.clickhouse.payload import READ_SETTINGS, encoded, insertion
from llm_metrics_proxy.engines.clickhouse.prepare import prepare
from llm_metrics_proxy.engines.clickhouse.records import READING, ClickHouseRecords
from llm_metrics_proxy.engines.clickhouse.table import NO_TIME
from llm_metrics_proxy.record import REGISTRY, ROW_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.store_address import StoreAccess, store_address
from llm_metrics_proxy.zstandard import zstd
from tests.analytics.database import Database
from tests.rollups.records import a_row_of

Rows = Sequence[tuple[Any, ...]]


class Pair(NamedTuple):
    """``sqlite`` and ``clickhouse`` have the same records, of one or several hosts."""

    database: Database
    connection: Connection
    reading: Connection

    @property
    def sqlite(self) -> Records:
        return self.database.records

    @property
    def clickhouse(self) -> Records:
        return ClickHouseRecords(self.reading)

    def add(self, rows: Rows, host: str = "one") -> None:
        """Store them in both, under the same arrivals."""
        self.database.store.close()
        self.database.store = SqliteStore(self.database.path, host=host)
        ((last,),) = self.database.reader.query("SELECT coalesce(max(arrival), 0) FROM completion_requests")
        self.database.append(rows)
        store(self.connection, rows, last + 1, host)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    """To an empty table in that database."""
    address = store_address(url)
    assert address is not None
    connection = Connection(StoreAccess(address))
    try:
        prepare(connection)
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def paired(url: str, folder: Path) -> Iterator[Pair]:
    """Two empty stores."""
    database = Database(folder)
    with connected(url) as connection:
        reading = Connection(connection.access, settings=READING)
        yield Pair(database, connection, reading)
        reading.close()
    database.close()


def store(connection: Connection, rows: Rows, first: int, host: str) -> None:
    """As the shipper sends them, without its outbox; a row may have no time, as those of older programs."""
    payload = encoded(first, [row if row[_TIME] is not None else _with(row, _MARK) for row in rows])
    lines = zstd.decompress(payload).replace(_MARK.encode(), NO_TIME.encode())
    connection.insert(insertion(literal(host), "1"), lines, settings=READ_SETTINGS)


_TIME: Final = ROW_COLUMNS.index("timestamp")
_MARK: Final = "1911-11-11T11:11:11.111111Z"


def _with(row: tuple[Any, ...], time: str) -> tuple[Any, ...]:
    return (*row[:_TIME], time, *row[_TIME + 1 :])


_WORDS: Final[dict[str, tuple[Any, ...]]] = {
    "text": (None, None, "", "a", "B", "b", "ü", "a'b\\c\n", "10.0.0"),
    "flag": (None, 0, 1),
    "integer": (None, 100, 200, 404, 599),
}
_TAGS: Final = (None, "", "team=a", "team=b,x=1", "team=,x=ü=2", "xteam=a", "a=b=c,team=a")


def made(count: int, seed: int = 3, *, hours: float = 30) -> list[tuple[Any, ...]]:
    """Rows that have something in every column that can be grouped or filtered by, whatever columns there are."""
    random = Random(seed)
    return [_varied(random, a_row_of(random, hours=hours)) for _ in range(count)]


def _varied(random: Random, row: tuple[Any, ...]) -> tuple[Any, ...]:
    found: list[Any] = []
    for name, value in zip(ROW_COLUMNS, row, strict=True):
        column = REGISTRY[name]
        if name == "tags":
            found.append(random.choice(_TAGS))
        elif name == "usage_source":
            found.append(random.choice(("reported", "reported", "repeated", "none", None)))
        elif value is None and (column.group or column.filter) and column.kind.holds in _WORDS:
            found.append(random.choice(_WORDS[column.kind.holds]))
        elif value is None and column.kind.holds == "number" and random.random() < 0.5:
            found.append(random.choice((0.0, 0.5, 17.25, 1e9, -1.0)))
        else:
            found.append(value)
    return tuple(found)


Span = tuple[datetime, datetime] | None


class Reading:
    """A ``Source`` whose plans were all read at once. Plans that differ in nothing but their needs were read as one."""

    def __init__(self, source: Source, queries: Sequence[Query], now: datetime, span: Span) -> None:
        self._source, self._span = source, span
        needs: dict[QueryPlan, Needs] = {}
        for query in queries:
            for one in plan(query, PlanningContext(self._span, now)).plans:
                needs[_bare(one)] = needs.get(_bare(one), Needs()) | one.needs
        self.plans = [replace(one, needs=needed) for one, needed in needs.items()]
        self._found: dict[QueryPlan, SourceResult] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def span(self) -> Span:
        return self._span

    def read(self, plans: Sequence[QueryPlan]) -> list[SourceResult]:
        if not self._found:
            self._found = dict(zip(map(_bare, self.plans), self._source.read(self.plans), strict=True))
        return [self._found[_bare(one)] for one in plans]


def _bare(one: QueryPlan) -> QueryPlan:
    return replace(one, needs=Needs())


def plain(answer: Any) -> Any:
    """An answer as JSON's values."""
    return msgspec.json.decode(_encoded(answer))


_encoded: Final = msgspec.json.Encoder().encode


def unlike(one: Any, other: Any) -> str:
    """``difference`` of two answers that are not plain yet."""
    texts = _encoded(one), _encoded(other)
    return "" if texts[0] == texts[1] else difference(*map(msgspec.json.decode, texts))


def difference(one: Any, other: Any, relative: float = 1e-9, path: str = "") -> str:
    """Where two answers differ first; nothing if they do not. Floats are sums in another order.

    Most rows are the same to the letter, which their JSON tells a hundred times faster than a walk through them."""
    if isinstance(one, float) or isinstance(other, float):
        same = (
            isinstance(one, int | float)
            and isinstance(other, int | float)
            and type(one) is type(other)
            and isclose(one, other, rel_tol=relative, abs_tol=1e-12)
        )
        return "" if same else f"{path}: {one!r} != {other!r}"
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return f"{path}: {list(one)} != {list(other)}"
        return next(
            (found for key in one if (found := difference(one[key], other[key], relative, f"{path}.{key}"))), ""
        )
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{path}: {len(one)} != {len(other)}"
        pairs = ((at, a, b) for at, (a, b) in enumerate(zip(one, other, strict=True)) if _encoded(a) != _encoded(b))
        return next((found for at, a, b in pairs if (found := difference(a, b, relative, f"{path}[{at}]"))), "")
    return "" if type(one) is type(other) and one == other else f"{path}: {one!r} != {other!r}"
