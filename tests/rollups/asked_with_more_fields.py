"""Run by ``test_banks`` in a process of its own, on the program that ``more_fields`` makes of this one."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.distribution import DistributionQuery, distribute
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.engines.sqlite import rollup_collected, rollup_range
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource
from llm_metrics_proxy.rollups.groups import BANKS
from llm_metrics_proxy.storage import rollup_check, rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import reset
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.engines.sqlite.test_rollup_source import assert_same, values_of
from tests.rollups import oracle
from tests.rollups.more_fields import NOW, keep_up
from tests.rollups.records import a_row_of, changed

ADDED: Final = tuple(
    f"{name}.{statistic}"
    for name in ("max_tokens", "temperature", "top_p", "response_time_ms")
    for statistic in ("count", "sum", "min", "max", "mean", "p50", "p95")
)
OF_MODELS: Final = tuple(name for name in ADDED if name.startswith(("temperature", "response_time_ms")))
QUERIES: Final = (
    Query(metrics=ADDED),
    Query(metrics=ADDED, group_by=("time",), bucket="day"),
    Query(metrics=("top_p.sum",), group_by=("time",), bucket="day"),  # nothing of the first bank but counts
    Query(metrics=OF_MODELS, group_by=("model",)),
    Query(metrics=OF_MODELS, group_by=("time", "model"), bucket="day", timezone="Europe/Berlin"),
)


def some_rows(count: int, seed: int) -> list[tuple[Any, ...]]:
    random = Random(seed)
    return [
        changed(
            a_row_of(random, hours=60, odd=False),
            max_tokens=random.choice((None, 16, 4096)),
            temperature=random.choice((None, 0.0, random.uniform(0.1, 2))),
            top_p=random.uniform(0.1, 1) if random.random() < 0.3 else None,
        )
        for _ in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """401 records, of which the ingester rolled up most."""
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)
    monkeypatch.setattr(rollup_collected, "PAGE", 7)
    monkeypatch.setattr(rollup_store, "FOLD_AT", 60)
    path = tmp_path / "metrics.db"
    SqliteStore(path).close()
    keep_up(path)
    store = SqliteStore(path, after_insert=rollup_store.Folding(batches=1))
    for seed in range(8):
        store.append(IngestBatch(rows=some_rows(50, seed)))
    store.append(IngestBatch(rows=[changed(some_rows(1, 9)[0], timestamp="2026-04-01T00:00:00.000000Z")]))
    store.close()
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


def answers(reader: SqliteReader, *, by_records: bool = False) -> list[Result]:
    sources = (RecordsSource(reader),) if by_records else (RollupSource(reader), RecordsSource(reader))
    found = [ask(sources, query, NOW) for query in QUERIES]
    assert {each.source for each in found} == {"records" if by_records else "both"}
    return found


def faults(path: Path) -> str | None:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        checked = rollup_check.check(connection, 100, 1)
        assert checked.rows or checked.fault
        return checked.fault
    finally:
        connection.close()


def test_every_field_is_rolled_up_as_a_person_would(path: Path) -> None:
    assert BANKS == (0, 1, 9)
    keep_up(path)
    oracle.assert_alike(oracle.stored(path), oracle.expected(oracle.records_in(path), oracle.decided(path)))
    told, sketches = oracle.stored(path), oracle.sketches(path)
    for (place, name), slots in sketches.items():
        assert sum(slots.values()) == told[place].fields[name][0], (place, name)
    assert {name for _, name in sketches} >= {"max_tokens", "temperature", "top_p"}
    assert {place.grain for place, name in sketches if name == "temperature"} >= {0, 1, 2, 3, 15}
    assert faults(path) is None


def test_they_are_asked_for_as_records_are_and_again_when_these_are_pruned(path: Path, reader: SqliteReader) -> None:
    wanted = answers(reader, by_records=True)
    for found, exact in zip(answers(reader), wanted, strict=True):
        assert_same(values_of(found), values_of(exact))
    bins = distribute((RollupSource(reader), RecordsSource(reader)), DistributionQuery(metric="temperature"), NOW)
    keep_up(path, days=1)
    assert oracle.records_in(path) == []
    for found, exact in zip(answers(reader), wanted, strict=True):
        assert (found.records, found.pruned_before) == (exact.records, None)
        assert_same(values_of(found), values_of(exact))
    again = distribute((RollupSource(reader), RecordsSource(reader)), DistributionQuery(metric="temperature"), NOW)
    assert (again.bins, again.source) == (bins.bins, "both")


def test_a_late_record_of_a_pruned_day_counts_once_whatever_is_made_anew(path: Path, reader: SqliteReader) -> None:
    keep_up(path, days=1)
    late = [changed(row, timestamp="2026-03-29T12:00:00.000000Z", top_p=0.25, max_tokens=7) for row in some_rows(1, 20)]
    store = SqliteStore(path)
    store.append(IngestBatch(rows=late))
    store.close()
    before = answers(reader)
    keep_up(path)
    connection = apsw.Connection(str(path))
    for _ in range(2):
        for found, wanted in zip(answers(reader), before, strict=True):
            assert found.records == wanted.records == 402
            assert_same(values_of(found), values_of(wanted))
        with connection:
            reset(connection)
        keep_up(path)
    connection.close()


@pytest.mark.parametrize("table", ["rollups", "rollup_sketches"])
@pytest.mark.parametrize("grain", [1001, 9000])
def test_damage_to_a_row_of_another_bank_is_noticed(path: Path, table: str, grain: int) -> None:
    keep_up(path)
    assert faults(path) is None
    connection = apsw.Connection(str(path))
    column = "many" if table == "rollups" else "small"
    connection.execute(f"UPDATE {table} SET {column} = X'' WHERE grain = ? AND level = 2", (grain,))
    assert connection.changes()
    connection.close()
    assert faults(path) is not None
