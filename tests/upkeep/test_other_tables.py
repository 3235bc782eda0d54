"""Roll-ups that another program made: a release, or a later one with more fields than one row holds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import pytest

from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.engines.sqlite import rollup_range
from llm_metrics_proxy.engines.sqlite.records_source import RecordsSource
from llm_metrics_proxy.engines.sqlite.rollup_source import RollupSource
from llm_metrics_proxy.rollups.state import FINGERPRINT
from llm_metrics_proxy.storage import rollup_check
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.rollup_state import read_state, write_state
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.upkeep import Retention, Upkeep, Worked
from tests.engines.sqlite.test_rollup_source import assert_same, values_of
from tests.rollups import oracle
from tests.rollups.records import a_row_of, changed
from tests.upkeep.test_whole_life import NOW, QUERIES

ROOT: Final = Path(__file__).parents[2]
GOLDEN: Final = ROOT / "tests" / "fixtures" / "databases"
DAY: Final = 86_400
FOREVER: Final = Retention()
TABLES: Final = ("rollups", "rollup_sketches")

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup_range, "FEW_RECORDS", 0)


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(str(path))) as connection:
        connection.set_busy_timeout(10_000)
        yield connection


def rows_of(path: Path, before: int = 2**62) -> Rows:
    """Every byte of the roll-ups, or of those of days before one."""
    with opened(path) as connection:
        return {
            table: list(connection.execute(f"SELECT * FROM {table} WHERE bucket < ? ORDER BY 1, 2, 3, 4", (before,)))
            for table in TABLES
        }


def in_our_table(version: str, path: Path, *tables: str) -> Path:
    """The records of a released program, as they are, in a file of this one; and what other tables have."""
    SqliteStore(path).close()
    with opened(path) as connection:
        connection.execute("ATTACH ? AS made", (str(GOLDEN / f"{version}.db"),))
        names = "SELECT name FROM pragma_table_info('completion_requests', ?)"
        theirs, ours = ({name for (name,) in connection.execute(names, (schema,))} for schema in ("made", "main"))
        both = ", ".join(sorted(theirs & ours))
        connection.execute(
            f"INSERT INTO main.completion_requests (arrival, {both}) SELECT id, {both} FROM made.completion_requests"
        )
        for table in tables:
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM made.{table}")
    return path


def fingerprint(path: Path) -> str:
    with opened(path) as connection:
        return read_state(connection).tables


def keep_up(path: Path, retention: Retention = FOREVER) -> list[Worked]:
    upkeep = Upkeep(path, retention, batch_lock_ms=50, unix_s=NOW.timestamp)
    with closing(upkeep):
        return list(iter(lambda: upkeep.step(leftovers=True), Worked.NOTHING))


def later_program(path: Path) -> "subprocess.Popen[bytes]":
    """Keeps the database up; says so when it begins."""
    command = (sys.executable, "-u", "-m", "tests.rollups.more_fields", str(path))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE)


def keep_up_later(path: Path) -> None:
    with later_program(path) as child:
        assert child.wait(120) == 0


def answers(path: Path, *sources: Callable[[SqliteReader], Any]) -> list[Result]:
    with closing(SqliteReader(path)) as reader:
        return [ask([source(reader) for source in sources], query, NOW) for query in QUERIES]


def assert_answers(path: Path, wanted: list[Result]) -> None:
    for found, exact in zip(answers(path, RollupSource, RecordsSource), wanted, strict=True):
        assert (found.source, found.records, found.pruned_before) == ("both", exact.records, None)
        assert_same(values_of(found), values_of(exact))


def prune_as_released(path: Path) -> int:
    """What retention has left since 4.0.0: the newest record, and which days have roll-ups alone."""
    with opened(path) as connection, connection:
        state = read_state(connection)
        ((last,),) = connection.execute("SELECT max(bucket) FROM rollups WHERE grain = 0 AND level = 2")
        end = int(last) + DAY
        newest = "(SELECT max(arrival) FROM completion_requests)"
        connection.execute(f"DELETE FROM completion_requests WHERE arrival < {newest}")
        write_state(connection, state._replace(kept_before=end))
    return end


def _as_released(told: dict[oracle.Place, oracle.Told]) -> dict[oracle.Place, oracle.Told]:
    """Without the fields of 5.1.0 that older records have."""
    return {
        place: one._replace(fields={name: of for name, of in one.fields.items() if name not in oracle.OVER})
        for place, one in told.items()
    }


@pytest.mark.parametrize("version", ["4.2.0", "4.3.0", "4.4.0", "4.5.0"])
def test_bytes_are_those_of_the_release(tmp_path: Path, version: str) -> None:
    made, again = GOLDEN / f"{version}.db", in_our_table(version, tmp_path / "again.db")
    assert keep_up(again)[-1] is Worked.ROLLED_UP
    assert fingerprint(again) == FINGERPRINT
    released = tmp_path / "released.db"
    released.write_bytes(made.read_bytes())
    oracle.assert_alike(_as_released(oracle.stored(again)), oracle.stored(released))
    found, wanted = rows_of(again), rows_of(released)
    for table in ("rollups", "rollup_sketches"):  # later fields are apart
        found[table] = [row for row in found[table] if row[0] < oracle.BANK]
    assert [len(row[7]) + len(row[8]) for row in found["rollups"]] == [
        len(row[7]) + len(row[8]) for row in wanted["rollups"]
    ]
    assert found["rollup_sketches"] == wanted["rollup_sketches"]


@pytest.mark.grid
@pytest.mark.parametrize("version", ["4.0.0", "4.1.0", "4.2.0", "4.3.0", "4.4.0", "4.5.0"])
def test_pruned_days_of_a_release_answer_as_ever_here_in_a_later_program_and_back(tmp_path: Path, version: str) -> None:
    path = in_our_table(version, tmp_path / "metrics.db", *TABLES, "rollup_state", "rollup_days")
    wanted = answers(path, RecordsSource)
    end = prune_as_released(path)
    kept = rows_of(path, end)
    assert len(oracle.records_in(path)) == 1
    assert all(kept.values())
    for program in (keep_up, keep_up_later, keep_up):
        program(path)
        assert rows_of(path, end) == kept
        if program is keep_up:
            assert fingerprint(path) == FINGERPRINT
            assert_answers(path, wanted)
        else:
            assert fingerprint(path) != FINGERPRINT
            found = answers(path, RollupSource, RecordsSource)  # an older program's: records, which know that they lack
            assert {each.source for each in found} == {"records"}
            assert {each.pruned_before is not None for each in found} == {True}


@pytest.mark.system
def test_a_later_program_that_is_killed_ends_where_it_would_have_and_leaves_no_trace(tmp_path: Path) -> None:
    path, random = tmp_path / "metrics.db", Random(5)
    SqliteStore(path).close()
    with closing(SqliteStore(path)) as store:
        rows = [a_row_of(random, hours=60, odd=False) for _ in range(600)]
        rows = [changed(row, max_tokens=random.choice((None, 16)), top_p=random.random()) for row in rows]
        rows[-1] = changed(rows[-1], timestamp="2026-04-01T00:00:00.000000Z")
        store.append(IngestBatch(rows=rows))
    keep_up(path)
    wanted = answers(path, RecordsSource)
    days_ago = (NOW.timestamp() - first_day(path)) // DAY
    keep_up(path, Retention(days=int(days_ago) - 1))
    with opened(path) as connection:
        end = read_state(connection).kept_before
    before, kept = rows_of(path), rows_of(path, end)
    assert all(kept.values())
    reference = tmp_path / "reference.db"
    with opened(path) as connection:
        connection.execute("VACUUM INTO ?", (str(reference),))
    keep_up_later(reference)

    for _ in range(4):
        with later_program(path) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"begins\n"
            time.sleep(random.uniform(0, 0.4))
            child.send_signal(signal.SIGKILL)
        assert rows_of(path, end) == kept
        assert {each.records for each in answers(path, RollupSource, RecordsSource)} != {0}
    keep_up_later(path)
    assert rows_of(path) == rows_of(reference)
    assert {row[0] // 1000 for row in rows_of(path)["rollups"]} == {0, 1, 9}

    keep_up(path)
    assert rows_of(path) == before
    assert_answers(path, wanted)
    with opened(path) as connection:
        assert rollup_check.check(connection, 10, 1).fault is None


def first_day(path: Path) -> int:
    """The first day of the roll-ups."""
    return min(place.bucket for place in oracle.stored(path) if place.level == 2)
