"""A database through its whole life, in random orders: whatever was done to it, roll-ups say what the records say.

Everything is the program's own: migrations and undo of a 3.0.0 database, prices and taking them back, backups and
restoring them, rolling up in small steps, by the ingester and by upkeep, and in the end the retention.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.engines.sqlite import rollup_range
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource
from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION, Priced
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage import backup, rollup_check, rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.priced_facts import StoredFacts
from llm_metrics_proxy.storage.repricing import Selection, reprice
from llm_metrics_proxy.storage.repricing_undo import take_back
from llm_metrics_proxy.storage.restore import restore
from llm_metrics_proxy.storage.rollup_state import reset
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.engines.sqlite.test_rollup_source import assert_same, values_of
from tests.examples import examples
from tests.migration.databases import options
from tests.rollups.records import a_row_of, changed

NOW: Final = datetime(2027, 1, 1, tzinfo=UTC)
FOREVER: Final = Retention()
GOLDEN: Final = Path(__file__).parents[1] / "fixtures" / "databases" / "3.0.0.db"
METRICS: Final = (
    "requests", "success_rate", "total_tokens", "cost_usd", "cost_usd.max", "response_time_ms.sum",
    "time_to_first_token_ms.count", "response_time_ms.p50", "response_time_ms.p95",
)  # fmt: skip
QUERIES: Final = (
    Query(metrics=(*METRICS, "cost_usd.p90")),
    Query(metrics=METRICS, group_by=("model",)),
    Query(metrics=METRICS, group_by=("time", "model"), bucket="day", timezone="Europe/Berlin"),
    Query(metrics=METRICS[:-2], group_by=("time",), bucket="week", filter=RequestFilter(model="gpt-4o")),
    Query(metrics=METRICS[:-2], group_by=("app_version", "origin")),
)


class _Always(RollupSource):
    """Asked whether or not records would be faster."""

    def is_worth_it(self, plan: Any) -> bool:
        return True


class Life:
    """One database, and what is done to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.path, self.random = folder, folder / "metrics.db", Random(seed)
        self.path.write_bytes(GOLDEN.read_bytes())
        self.backups: list[str] = []
        self.priced: list[int] = []
        engine.migrate(self.path, options(self.path), migrations=MIGRATIONS)

    def store(self) -> None:
        store = SqliteStore(self.path, after_insert=rollup_store.Folding(batches=1))
        rows = [a_row_of(self.random, hours=self.random.choice((5, 60)), odd=False) for _ in range(30)]
        store.append(IngestBatch(rows=[changed(row, cost_usd=self.random.choice((None, 0.25))) for row in rows]))
        store.close()

    def steps(self, most: int, retention: Retention = FOREVER) -> list[Worked]:
        upkeep = Upkeep(self.path, retention, batch_lock_ms=50, unix_s=NOW.timestamp)
        try:
            done: list[Worked] = []
            while len(done) < most and (worked := upkeep.step(leftovers=self.random.random() < 0.9)):
                done.append(worked)
                if worked is Worked.NOTHING and not upkeep.behind():
                    break
            return done
        finally:
            upkeep.close()

    def some_steps(self) -> None:
        self.steps(self.random.randrange(1, 6))

    def price(self) -> None:
        each = self.random.choice((0.5, 1.0, 3.0))

        def priced(facts: StoredFacts) -> Priced:
            return (each, "price_table", -each) if facts.model in ("gpt-4o", "llama3:8b") else (None,) * 3

        with migration_lock(self.path):
            done = reprice(self.path, priced, Selection("", (), "{}"), price_lists="test", on_change=reset)
        if done.repricing_id is not None:
            self.priced.append(done.repricing_id)

    def take_price_back(self) -> None:
        if self.priced:
            with migration_lock(self.path):
                take_back(self.path, self.priced.pop(), on_change=reset)

    def undo(self) -> None:
        engine.undo(self.path, options(self.path), migrations=MIGRATIONS)
        with pytest.raises(StoreError, match="migrate run"):
            SqliteStore(self.path)
        self.migrate()
        self.priced.clear()  # prices are of this version

    def migrate(self) -> None:
        engine.migrate(self.path, options(self.path), migrations=MIGRATIONS)

    def back_up(self) -> None:
        made = backup.create(self.path, self.folder / "backups", reason="manual", app_version=APP_VERSION)
        self.backups.append(made.name)

    def restore(self) -> None:
        if self.backups:
            name, lock = self.random.choice(self.backups), migration_lock(self.path)
            restore(self.folder / "backups", name, self.path, app_version=APP_VERSION, lock=lock)
            self.priced.clear()

    def answers(self, *, by_records: bool) -> list[Any]:
        reader = SqliteReader(self.path)
        try:
            sources = (RecordsSource(reader),) if by_records else (_Always(reader), RecordsSource(reader))
            return [ask(sources, query, NOW) for query in QUERIES]
        finally:
            reader.close()

    def assert_right(self) -> None:
        for found, wanted in zip(self.answers(by_records=False), self.answers(by_records=True), strict=True):
            assert found.records == wanted.records
            assert_same(values_of(found), values_of(wanted))
        self.assert_checked()

    def assert_checked(self) -> None:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            assert rollup_check.check(connection, 100, 1).fault is None
        finally:
            connection.close()


DEEDS: Final = (
    "store", "store", "some_steps", "some_steps", "price", "take_price_back", "undo", "migrate", "back_up", "restore",
)  # fmt: skip


@pytest.mark.grid
@examples(6, allow=(HealthCheck.function_scoped_fixture,))
@given(st.integers(0, 2**16), st.lists(st.sampled_from(DEEDS), min_size=4, max_size=14))
def test_in_any_order_roll_ups_answer_as_records_do(
    monkeypatch: pytest.MonkeyPatch, seed: int, deeds: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder, monkeypatch.context() as patch:
        patch.setattr(rollup_store, "FOLD_AT", 40)
        patch.setattr(rollup_range, "FEW_RECORDS", 0)
        life = Life(Path(folder), seed)
        for deed in deeds:
            getattr(life, deed)()
            life.assert_right()
        life.store()
        life.steps(100)
        life.assert_right()
        assert [each.source for each in life.answers(by_records=False)] == ["both"] * len(QUERIES)
        before = life.answers(by_records=True)
        life.steps(100, Retention(days=1))
        for after, wanted in zip(life.answers(by_records=False), before, strict=True):
            assert after.records == wanted.records
            assert_same(values_of(after), values_of(wanted))
        life.assert_checked()
