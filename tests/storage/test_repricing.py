"""Prices for records that are stored already: exact, resumable, and with an account of every change."""

import threading
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import NOT_PRICED, Priced, to_row
from llm_metrics_proxy.storage import repricing
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.priced_facts import StoredFacts
from llm_metrics_proxy.storage.repricing import Repriced, Selection, reprice
from llm_metrics_proxy.storage.repricing_undo import take_back
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.journal_parts import an_ended_record

ALL = Selection("", (), "{}")


def by_model(facts: StoredFacts) -> Priced:
    """Known for one model only."""
    if facts.model != "known" or facts.prompt_tokens is None:
        return NOT_PRICED
    return (facts.prompt_tokens / 1000, "price_table", None)


class Ledger:
    """A database with a few records, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, *rows: tuple[dict[str, Any], tuple[float | None, str | None]]) -> None:
        store = SqliteStore(self.path)
        store.append(
            IngestBatch(
                rows=[to_row(an_ended_record(n, **facts), (*priced, None)) for n, (facts, priced) in enumerate(rows)]
            )
        )
        store.close()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()

    def costs(self) -> list[tuple[Any, ...]]:
        return self.ask("SELECT cost_usd, cost_source FROM completion_requests ORDER BY arrival")

    def change(self, sql: str) -> None:
        connection = apsw.Connection(str(self.path))
        connection.execute(sql)
        connection.close()

    def run(self, price: Any = by_model, selection: Selection = ALL, **options: Any) -> Repriced:
        return reprice(self.path, price, selection, price_lists="lists of a test", **options)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "m.db")
    ledger.fill(
        ({"model": "known", "prompt_tokens": 1000}, (None, None)),
        ({"model": "known", "prompt_tokens": 2000}, (9.0, "genai_prices")),
        ({"model": "known", "prompt_tokens": 3000}, (3.0, "price_table")),
        ({"model": "gone", "prompt_tokens": 1000}, (7.0, "genai_prices")),
        ({"model": "gone", "prompt_tokens": 1000}, (None, None)),
    )
    return ledger


AFTER = [(1.0, "price_table"), (2.0, "price_table"), (3.0, "price_table"), (7.0, "genai_prices"), (None, None)]


def test_what_differs_is_changed_and_what_is_known_is_never_forgotten(ledger: Ledger) -> None:
    done = ledger.run()
    assert ledger.costs() == AFTER
    assert (done.records, done.looked_at, done.changed, done.kept, done.unknown) == (5, 5, 2, 1, 1)
    assert (done.cost_before_usd, done.cost_after_usd, done.finished) == (19.0, 13.0, True)


def test_every_change_is_on_record_to_the_bit(ledger: Ledger) -> None:
    done = ledger.run()
    assert ledger.ask("SELECT * FROM repricing_changes ORDER BY record_id") == [
        (done.repricing_id, 1, None, None, 1.0, "price_table", None, None),
        (done.repricing_id, 2, 9.0, "genai_prices", 2.0, "price_table", None, None),
    ]
    columns = "state, selection, price_lists, bound_id, records_looked_at, records_changed, finished_at IS NULL"
    assert ledger.ask(f"SELECT {columns} FROM repricings") == [("done", "{}", "lists of a test", 5, 5, 2, 0)]


def test_no_other_column_changes(ledger: Ledger) -> None:
    names = [name for (name,) in ledger.ask("SELECT name FROM pragma_table_info('completion_requests')")]
    others = ", ".join(f"typeof({name}), {name}" for name in names if not name.startswith("cost_"))
    before = ledger.ask(f"SELECT {others} FROM completion_requests ORDER BY arrival")
    ledger.run()
    assert ledger.ask(f"SELECT {others} FROM completion_requests ORDER BY arrival") == before


def test_run_again_it_changes_nothing_and_leaves_no_second_account(ledger: Ledger) -> None:
    ledger.run()
    again = ledger.run()
    assert (again.changed, again.repricing_id) == (0, None)
    assert ledger.ask("SELECT count(*) FROM repricings") == [(1,)]


def test_a_dry_run_says_the_same_and_writes_nothing(ledger: Ledger) -> None:
    before = ledger.path.read_bytes()
    done = ledger.run(dry_run=True)
    assert ledger.path.read_bytes() == before
    assert (done.changed, done.cost_after_usd, done.repricing_id) == (2, 13.0, None)


def test_only_what_was_selected_is_looked_at(ledger: Ledger) -> None:
    done = ledger.run(selection=Selection(" WHERE prompt_tokens >= ?", (2000,), "{}"))
    assert (done.looked_at, done.changed) == (2, 1)
    assert ledger.costs()[0] == (None, None)


def test_only_unknown_costs_can_be_asked_for(ledger: Ledger) -> None:
    done = ledger.run(selection=ALL._replace(only_unknown=True))
    assert (done.looked_at, done.changed) == (2, 1)
    assert ledger.costs()[:2] == [(1.0, "price_table"), (9.0, "genai_prices")]


def test_stopped_between_two_batches_it_keeps_what_it_did_and_goes_on_next_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "_FIRST_BATCH", 1)
    stop = threading.Event()
    done = ledger.run(stop=stop, report=lambda _: stop.set())
    assert (done.finished, done.changed) == (False, 1)
    assert ledger.ask("SELECT state, records_changed FROM repricings") == [("stopped", 1)]
    assert ledger.run().finished
    assert ledger.costs() == AFTER


def test_a_transaction_that_fails_takes_its_account_with_it(ledger: Ledger) -> None:
    def refuse(_: apsw.Connection) -> None:
        raise StoreError("no")

    before = ledger.costs()
    with pytest.raises(StoreError, match="no"):
        ledger.run(on_change=refuse)
    assert ledger.costs() == before
    assert ledger.ask("SELECT count(*) FROM repricings") == [(0,)]


def test_whoever_must_know_is_told_in_each_transaction_that_changes_records(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repricing, "_FIRST_BATCH", 1)
    monkeypatch.setattr(repricing, "_LARGEST_BATCH", 1)
    told = []
    ledger.run(on_change=lambda connection: told.append(connection.in_transaction))
    assert told == [True, True]


def test_a_database_that_stays_locked_is_said_to_be(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "BUSY_MS", 10)
    holder = apsw.Connection(str(ledger.path))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        ledger.run()
    holder.execute("ROLLBACK")
    holder.close()
    assert ledger.run().changed == 2


def test_a_record_whose_time_cannot_be_read_has_no_known_price(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "m.db")
    ledger.fill(*[({"model": "known", "prompt_tokens": 1000}, (None, None)) for _ in range(2)])
    ledger.change("UPDATE completion_requests SET timestamp = 'once' WHERE arrival = 1")
    assert ledger.run().changed == 1
    assert ledger.costs() == [(None, None), (1.0, "price_table")]


def test_records_with_numbers_below_zero_are_priced_too(ledger: Ledger) -> None:
    """Records of before 5.0.0 keep the numbers that they had, and some programs gave such."""
    ledger.change("UPDATE completion_requests SET arrival = arrival - 3")
    assert ledger.run().changed == 2
    assert ledger.costs() == AFTER


def test_a_file_without_records_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no records yet"):
        Ledger(tmp_path / "none.db").run()


def test_a_file_of_an_older_layout_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes((Path(__file__).parents[1] / "fixtures" / "databases" / "4.5.0.db").read_bytes())
    before = path.read_bytes()
    for dry_run in (True, False):
        with pytest.raises(StoreError, match="migrate run"):
            Ledger(path).run(dry_run=dry_run)
    assert path.read_bytes() == before


def test_savings_of_caches_are_filled_in_where_the_cost_stays_and_are_on_record(ledger: Ledger) -> None:
    def saving(facts: StoredFacts) -> Priced:
        usd, source, _ = by_model(facts)
        return usd, source, None if usd is None else usd / 8

    def savings() -> list[Any]:
        return [saved for (saved,) in ledger.ask("SELECT cache_savings_usd FROM completion_requests ORDER BY arrival")]

    before = ledger.run().changed
    assert (before, savings()) == (2, [None] * 5)
    run = ledger.run(saving)
    assert run.changed == 3
    assert savings() == [0.125, 0.25, 0.375, None, None]
    assert ledger.costs() == AFTER
    changed = "SELECT old_cache_savings_usd, new_cache_savings_usd FROM repricing_changes WHERE repricing_id = ?1"
    assert ledger.ask(changed.replace("?1", str(run.repricing_id))) == [(None, 0.125), (None, 0.25), (None, 0.375)]
    assert run.repricing_id is not None
    assert take_back(ledger.path, run.repricing_id).restored == 3
    assert savings() == [None] * 5
