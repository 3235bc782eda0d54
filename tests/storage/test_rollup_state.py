from pathlib import Path

import apsw
import pytest

from llm_metrics_proxy.rollups.state import NOTHING, RollupState
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.sqlite import SqliteStore


@pytest.fixture
def connection(tmp_path: Path) -> apsw.Connection:
    SqliteStore(tmp_path / "metrics.db").close()
    return apsw.Connection(str(tmp_path / "metrics.db"))


def test_a_fresh_file_has_nothing_rolled_up(connection: apsw.Connection) -> None:
    assert read_state(connection) == RollupState()
    assert not read_state(connection).is_current


def test_it_is_written_and_read_again(connection: apsw.Connection) -> None:
    state = RollupState(tables="t", cursor_id=7, epoch=3, clearing=True, kept_before=86_400, kept_through_id=5)
    write_state(connection, state)
    assert read_state(connection) == state


def test_a_reset_forgets_what_is_rolled_up_and_keeps_what_is_all_there_is(connection: apsw.Connection) -> None:
    write_state(connection, RollupState(tables="t", cursor_id=700, epoch=3, kept_before=86_400, kept_through_id=5))
    reset(connection)
    assert read_state(connection) == RollupState(
        tables="t", cursor_id=NOTHING, epoch=4, clearing=True, kept_before=86_400, kept_through_id=700
    )


def test_a_second_reset_changes_nothing_but_the_epoch(connection: apsw.Connection) -> None:
    write_state(connection, RollupState(tables="t", cursor_id=700))
    reset(connection)
    reset(connection)
    state = read_state(connection)
    assert (state.epoch, state.kept_through_id, state.clearing) == (2, 700, True)


def test_where_nothing_was_rolled_up_there_is_nothing_to_clear(connection: apsw.Connection) -> None:
    reset(connection)
    assert not read_state(connection).clearing
    assert read_state(connection).epoch == 1


def test_a_file_of_an_older_version_has_nothing_to_reset(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "older.db"))
    reset(connection)
    assert list(connection.execute("SELECT name FROM sqlite_schema")) == []
