"""Taking a run back: exact, and never over what came since."""

import threading
from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import StoreError
from llm_metrics_proxy.storage import repricing_undo
from llm_metrics_proxy.storage.repricing_undo import TakenBack, take_back
from tests.storage.test_repricing import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "m.db")
    ledger.fill(
        ({"model": "known", "prompt_tokens": 1000}, (None, None)),
        ({"model": "known", "prompt_tokens": 2000}, (0.1 + 0.2, "genai_prices")),
        ({"model": "gone", "prompt_tokens": 1000}, (7.0, "genai_prices")),
    )
    return ledger


def test_every_record_gets_its_cost_from_before_to_the_bit(ledger: Ledger) -> None:
    before = ledger.costs()
    run = ledger.run().repricing_id
    assert run is not None
    assert ledger.costs() != before
    assert take_back(ledger.path, run) == TakenBack(repricing_id=run, restored=2)
    assert ledger.costs() == before
    assert ledger.ask("SELECT state FROM repricings") == [("taken_back",)]


def test_what_was_priced_once_more_since_stays(ledger: Ledger) -> None:
    first = ledger.run().repricing_id
    ledger.run(lambda facts: (9.0, "price_table", None) if facts.prompt_tokens == 2000 else (None,) * 3)
    assert first is not None
    assert take_back(ledger.path, first) == TakenBack(repricing_id=first, restored=1, conflicts=1)
    assert [cost for cost, _ in ledger.costs()] == [None, 9.0, 7.0]


def test_what_was_taken_back_is_not_taken_back_again(ledger: Ledger) -> None:
    run = ledger.run().repricing_id
    assert run is not None
    take_back(ledger.path, run)
    before = ledger.costs()
    with pytest.raises(StoreError, match="repricing 1 was taken back already"):
        take_back(ledger.path, run)
    assert ledger.costs() == before


def test_stopped_it_goes_on_next_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing_undo, "_UNDO_BATCH", 1)
    before, stop = ledger.costs(), threading.Event()
    run = ledger.run().repricing_id
    assert run is not None
    told: list[bool] = []

    def stop_then(connection: apsw.Connection) -> None:
        told.append(connection.in_transaction)
        stop.set()

    assert take_back(ledger.path, run, stop=stop, on_change=stop_then) == TakenBack(
        repricing_id=run, restored=1, finished=False
    )
    assert told == [True]
    assert take_back(ledger.path, run).finished
    assert ledger.costs() == before


def test_a_run_that_there_was_not_is_told_with_those_that_there_were(ledger: Ledger) -> None:
    with pytest.raises(StoreError, match=r"there was no repricing 7; there were: none"):
        take_back(ledger.path, 7)
    ledger.run()
    with pytest.raises(StoreError, match=r"there was no repricing 7; there were: \[1\]"):
        take_back(ledger.path, 7)
    with pytest.raises(StoreError, match="holds no records yet"):
        take_back(ledger.path.with_name("none.db"), 1)
