"""The same values come back from both engines: types, NULLs, 64-bit integers, floats to the bit, text of any kind."""

import json
import struct
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.clickhouse.store import ClickHouseStore
from llm_metrics_proxy.record import ALL_COLUMNS, APP_VERSION_COLUMN, REGISTRY, ROW_COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch, SegmentPosition
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.store_address import StoreAccess, store_address
from tests.clickhouse.server import ClickHouseServer, new_database, statement

pytestmark = [pytest.mark.system, pytest.mark.grid]

# Infinity is JSON's null, as NaN is SQLite's: no record has either. SQLite has no -0.0.
_FLOATS: Final = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
_TEXTS: Final = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
_TIMES: Final = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)).map(
    lambda time: time.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
)
_REPORTS: Final = st.dictionaries(_TEXTS, st.integers(0, 2**40) | _TEXTS | _FLOATS, max_size=4).map(json.dumps)
_BY_KIND: Final[dict[str, st.SearchStrategy[Any]]] = {
    "integer": st.none() | st.integers(-(2**63), 2**63 - 1),
    "number": st.none() | _FLOATS | st.integers(-1000, 1000),
    "flag": st.none() | st.booleans(),
    "text": st.none() | _TEXTS,
    "time": _TIMES,
}


def _values(name: str) -> st.SearchStrategy[Any]:
    if name == APP_VERSION_COLUMN:
        return st.sampled_from(["5.0.0", "5.1.2"])
    if name == "request_id":
        return st.uuids().map(lambda each: each.hex)
    if name == "usage_reported":
        return st.none() | _REPORTS
    return _BY_KIND[REGISTRY[name].kind.holds]


_ROWS: Final = st.lists(st.tuples(*map(_values, ROW_COLUMNS)), min_size=1, max_size=8, unique_by=lambda row: row[0])


class _Direct(ClickHouseStore):
    def positions(self) -> list[SegmentPosition]:
        return []

    def ship(self) -> int:
        return self._shipper.ship()


def _bits(row: tuple[Any, ...]) -> list[Any]:
    """With its type, since 1 == 1.0 == True."""
    return [struct.pack("<d", value) if isinstance(value, float) else (type(value), value) for value in row]


@given(rows=_ROWS)
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=12)
def test_both_engines_give_the_same(
    clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]]
) -> None:
    folder, database = tmp_path_factory.mktemp("values"), new_database()
    statement(clickhouse, f"CREATE DATABASE {database}")
    address = store_address(clickhouse.url(database))
    assert address is not None
    access = StoreAccess(address)
    with closing(SqliteStore(folder / "sqlite.db", host="a")) as sqlite:
        sqlite.append(IngestBatch(rows=rows))
    with closing(_Direct(folder / "control.db", access, host="a")) as clickhouse_store:
        clickhouse_store.append(IngestBatch(rows=rows))
        assert clickhouse_store.ship() == len(rows)
    try:
        assert _read(folder / "control.db", access) == _read(folder / "sqlite.db", None)
    finally:
        statement(clickhouse, f"DROP DATABASE {database}")


def _read(path: Path, access: StoreAccess | None) -> list[list[Any]]:
    with closing(SqliteReader(path)) as control, closing(open_records(control, access)) as records:
        within = ArrivalRange(Arrivals(), records.newest())
        return [_bits(row) for row in records.arrived(RequestFilter(), ALL_COLUMNS, within, 100)]
