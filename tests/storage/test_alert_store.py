"""States of alerts and what they tell: together or not at all, and bounded."""

from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.storage import alert_store
from llm_metrics_proxy.storage.alert_store import AlertStore
from llm_metrics_proxy.storage.base import StoredAlert
from llm_metrics_proxy.storage.sqlite import SqliteStore

FIRING = StoredAlert("firing", 5.0, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SqliteStore(tmp_path / "m.db").close()
    return tmp_path / "m.db"


def test_a_state_and_what_it_tells_outlive_the_process(path: Path) -> None:
    store = AlertStore(path)
    store.keep({"a": FIRING}, {"id-1": ("a", "{}")}, 7.0, set())
    store.close()
    store = AlertStore(path)
    assert store.states() == {"a": FIRING}
    (delivery,) = store.deliveries()
    assert (delivery.event_id, delivery.name, delivery.body, delivery.created_at) == ("id-1", "a", "{}", 7.0)
    store.failed(delivery, "no")
    assert [(each.attempts, each.last_error) for each in store.deliveries()] == [(1, "no")]
    store.done(delivery)
    assert store.deliveries() == []
    store.close()


def test_the_same_message_is_kept_once(path: Path) -> None:
    store = AlertStore(path)
    for _ in range(2):
        store.keep({"a": FIRING}, {"id-1": ("a", "{}")}, 7.0, set())
    assert len(store.deliveries()) == 1
    store.close()


def test_alerts_that_are_gone_are_forgotten(path: Path) -> None:
    store = AlertStore(path)
    store.keep({"a": FIRING, "b": FIRING}, {}, 1.0, set())
    store.keep({"b": FIRING}, {}, 2.0, {"a"})
    assert set(store.states()) == {"b"}
    store.close()


def test_of_too_many_messages_the_oldest_give_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_store, "MOST_WAITING", 3)
    store = AlertStore(path)
    for index in range(10):
        store.keep({}, {f"id-{index}": ("a", "{}")}, float(index), set())
    assert [each.event_id for each in store.deliveries()] == ["id-7", "id-8", "id-9"]
    store.close()


def test_while_the_database_is_locked_nothing_is_kept_in_part(path: Path) -> None:
    store = AlertStore(path)
    store.keep({"a": FIRING}, {}, 1.0, set())
    holder = apsw.Connection(str(path))
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError):
        store.keep({"a": StoredAlert("ok", None, None)}, {"id": ("a", "{}")}, 2.0, set())
    holder.execute("ROLLBACK")
    holder.close()
    assert (store.states(), store.deliveries()) == ({"a": FIRING}, [])
    store.close()


def test_a_file_that_is_not_there_or_not_ready_yet_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        AlertStore(tmp_path / "none.db").states()
    assert not (tmp_path / "none.db").exists()
    apsw.Connection(str(tmp_path / "old.db")).execute("CREATE TABLE t (a)")
    with pytest.raises(StoreError, match="another program's database"):
        AlertStore(tmp_path / "old.db").states()
