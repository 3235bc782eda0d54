"""Other prices for records on a server: as SQLite's, to the bit, whatever comes or is killed meanwhile."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from llm_metrics_proxy.analytics import Query, RequestFilter
from llm_metrics_proxy.analytics.planning import PlanningContext, plan
from llm_metrics_proxy.engines import open_operations
from llm_metrics_proxy.engines.clickhouse import lease as leases
from llm_metrics_proxy.engines.clickhouse.connection import Connection
from llm_metrics_proxy.engines.clickhouse.lease import CHANGES, claiming
from llm_metrics_proxy.engines.clickhouse.notes import read_note
from llm_metrics_proxy.engines.clickhouse.repricing import ServerOperations
from llm_metrics_proxy.engines.clickhouse.repricing_state import NAME, STOPPED, RepricingRun
from llm_metrics_proxy.engines.operations import Repricing
from llm_metrics_proxy.errors import LlmMetricsProxyError, MigrationRefusedError, StoreError
from llm_metrics_proxy.metrics_service import Priced
from llm_metrics_proxy.record import ALL_COLUMNS, ROW_COLUMNS
from llm_metrics_proxy.storage.priced_facts import StoredFacts
from llm_metrics_proxy.storage.repricing import REPRICED_COLUMNS, Repriced
from tests.cli.conftest import Cli
from tests.clickhouse.history import access, add, all_of, fill, row
from tests.clickhouse.pair import Pair, difference, made, paired, plain
from tests.clickhouse.server import clickhouse_server, statement
from tests.waiting import wait_until

pytestmark = pytest.mark.system

_TIME: Final = ROW_COLUMNS.index("timestamp")
EVERYTHING: Final = RequestFilter(start=datetime(1970, 1, 1, tzinfo=UTC))
COLUMNS: Final = REPRICED_COLUMNS


def by_facts(facts: StoredFacts) -> Priced:
    """Of any model and time another price; of some none, of some the cost that a server said, of some their share of
    the server's time."""
    if facts.upstream_cost_usd is not None:
        return (facts.upstream_cost_usd, "upstream", None)
    if facts.prompt_tokens is None or facts.model in (None, "b"):
        busy_ms = facts.backend_busy_ms
        return (None, None, None) if busy_ms is None else (busy_ms * 0.7 / 3_600_000, "own_hardware", None)
    month = int(facts.timestamp[5:7] or 0)
    return (facts.prompt_tokens / 7 + len(facts.timestamp) + month * 0.1, "price_table", month / 3)


def twice(facts: StoredFacts) -> Priced:
    cost, source, saved = by_facts(facts)
    return (None if cost is None else cost * 2, source, saved)


def again(price: Any = by_facts, selection: RequestFilter = EVERYTHING, **changes: Any) -> Repricing:
    return Repricing(price, selection, "lists of a test", **changes)


def run(operations: Any, what: Repricing, **options: Any) -> Repriced:
    given = {"dry_run": False, "stop": threading.Event(), "report": lambda _: None, **options}
    done: Repriced = operations.reprice(what, **given)
    return done


@pytest.fixture
def pair(clickhouse_url: str, tmp_path: Path) -> Iterator[Pair]:
    """Records of three months and two hosts; some without a time, some with a cost."""
    rows = made(240, seed=11)
    moved = [
        (*one[:_TIME], one[_TIME] and month + one[_TIME][7:], *one[_TIME + 1 :])
        for one, month in zip(rows, ("2026-01", "2026-04", "2026-03") * 80, strict=True)
    ]
    with paired(clickhouse_url, tmp_path) as both:
        both.add(moved[:150], "one")
        both.add(moved[150:], "two")
        yield both


def both_of(pair: Pair) -> tuple[Any, Any]:
    return open_operations(pair.database.path, None), open_operations(pair.database.path, pair.connection.access)


def values(pair: Pair, names: tuple[str, ...] = COLUMNS) -> tuple[list[Any], list[Any]]:
    """Of both engines, by arrival."""
    of_sqlite, of_server = [], []
    listed = ", ".join(f'"{name}"' for name in names)
    of_sqlite = list(pair.database.reader.query(f"SELECT arrival, {listed} FROM completion_requests ORDER BY arrival"))
    of_server = pair.connection.query(f"SELECT arrival, {listed} FROM completion_requests ORDER BY arrival")
    return of_sqlite, [tuple(one) for one in of_server]


def hourly_and_read(pair: Pair) -> tuple[Any, Any]:
    """Sums of cost, from the sums by the hour and from the records."""
    metrics = ("requests", "cost_usd.sum", "cost_usd.max", "cost_usd.count", "cache_savings_usd.sum")
    query = Query(metrics=metrics, group_by=("model",))
    hours, *_, records = pair.clickhouse.sources()
    plans = plan(query, PlanningContext(records.span(), datetime(2026, 4, 1, tzinfo=UTC))).plans
    found = []
    for source in (hours, records):
        groups = [group for answer in source.read(plans) for group in answer.groups]
        found.append(sorted(plain(groups), key=repr))
    return found[0], found[1]


def assert_agreement(pair: Pair) -> None:
    sqlite, server = values(pair)
    assert server == sqlite
    hours, records = hourly_and_read(pair)
    assert records
    assert difference(hours, records) == ""


def test_the_same_records_get_the_same_values_as_in_sqlite_and_the_same_account(pair: Pair) -> None:
    for of_all in ("before", "after"):
        sqlite, server = (run(each, again(), dry_run=of_all == "before") for each in both_of(pair))
        assert plain(server) | {"largest_lock_ms": 0, "cost_before_usd": 0, "cost_after_usd": 0} == plain(sqlite) | {
            "largest_lock_ms": 0, "cost_before_usd": 0, "cost_after_usd": 0
        }  # fmt: skip
        assert server.cost_after_usd == pytest.approx(sqlite.cost_after_usd)
        assert server.cost_before_usd == pytest.approx(sqlite.cost_before_usd)
        assert min(server.changed, server.kept + server.unknown) > 10
        assert_agreement(pair)
    sources = [source for _, source in pair.connection.query("SELECT arrival, cost_source FROM completion_requests")]
    assert sources.count("own_hardware") > 3
    again_ = run(both_of(pair)[1], again())
    assert (again_.changed, again_.repricing_id) == (0, None)


def test_what_was_selected_changes_and_nothing_else(pair: Pair) -> None:
    others = tuple(name for name in ALL_COLUMNS if name not in COLUMNS)
    before = pair.connection.query(f"SELECT {', '.join(f'`{name}`' for name in others)} FROM completion_requests "
                                   "ORDER BY arrival")  # fmt: skip
    march = RequestFilter(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
    for what in (again(selection=march), again(twice, selection=march), again(only_unknown=True)):
        sqlite, server = (run(each, what) for each in both_of(pair))
        assert (server.records, server.changed, server.kept) == (sqlite.records, sqlite.changed, sqlite.kept)
        assert_agreement(pair)
    after = pair.connection.query(f"SELECT {', '.join(f'`{name}`' for name in others)} FROM completion_requests "
                                  "ORDER BY arrival")  # fmt: skip
    assert after == before


def test_a_dry_run_leaves_no_trace(pair: Pair) -> None:
    look = "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    before = (values(pair)[1], pair.connection.query(look))
    assert run(both_of(pair)[1], again(), dry_run=True).changed > 10
    assert (values(pair)[1], pair.connection.query(look)) == before
    assert pair.connection.query(f"SELECT * FROM record_notes WHERE name = '{NAME}'") == []


def test_an_undo_gives_the_values_from_before_but_where_there_are_newer_ones(pair: Pair) -> None:
    before = values(pair)[1]
    firsts = [run(each, again()) for each in both_of(pair)]
    january = RequestFilter(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC))
    seconds = [run(each, again(twice, january)) for each in both_of(pair)]
    for sqlite, server in (firsts, seconds):
        assert server.repricing_id == sqlite.repricing_id
    stop = threading.Event()
    undone = [plain(each.take_back(1, stop=stop)) for each in both_of(pair)]
    assert undone[0] == undone[1]
    assert undone[1]["conflicts"] > 10
    assert_agreement(pair)
    server = both_of(pair)[1]
    assert server.take_back(2, stop=stop).conflicts == 0
    run(server, again())
    assert server.take_back(3, stop=stop).conflicts == 0
    with pytest.raises(StoreError, match="was taken back already"):
        server.take_back(3, stop=stop)
    with pytest.raises(StoreError, match=r"there was no repricing 9; there were: \[1, 2, 3\]"):
        server.take_back(9, stop=stop)
    assert [one[0] for one in values(pair)[1]] == [one[0] for one in before]


def test_batches_end_where_they_are_full_and_a_stop_keeps_what_is_whole(pair: Pair) -> None:
    small = ServerOperations(pair.connection.access, most_changes=1)
    stop = threading.Event()
    done = run(small, again(), stop=stop, report=lambda _: stop.set())
    assert not done.finished
    assert 0 < done.changed < 200
    kept = int(pair.connection.value("SELECT count() FROM record_repricings"))
    assert kept == done.changed
    rest = run(small, again())
    assert rest.finished
    sqlite = run(both_of(pair)[0], again())
    assert done.changed + rest.changed == sqlite.changed
    assert_agreement(pair)
    undone = small.take_back(rest.repricing_id or 0, stop=threading.Event())
    assert (undone.restored, undone.conflicts) == (rest.changed, 0)
    assert pair.connection.query("SHOW TABLES LIKE 'record_repricing\\_%'") == []


def test_records_that_come_meanwhile_are_there_once_and_keep_their_own_price(clickhouse_url: str) -> None:
    with closing(Connection(access(clickhouse_url))) as connection:
        fill(connection, 200)
        stop, sent = threading.Event(), [0]
        cost = ROW_COLUMNS.index("cost_usd")

        def write() -> None:
            while not stop.wait(0.01):
                sent[0] += 1
                new = row(10_000 + sent[0], 4)
                new[cost] = 0.5
                add(connection, "one", 1_000 + sent[0], [new])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_until(lambda: sent[0] > 3, "records come")
            done = run(ServerOperations(connection.access), again())
            wait_until(lambda: sent[0] > 20, "records came meanwhile")
        finally:
            stop.set()
            writer.join()
        assert done.changed > 100
        found = all_of(connection)
        assert len(found) == 400 + sent[0]
        newer = f"SELECT count(), countIf(cost_usd = 0.5) FROM completion_requests WHERE arrival > {1_000 + 20}"
        assert connection.query(newer) == [(sent[0] - 20, sent[0] - 20)]


def test_one_at_a_time(clickhouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Connection(access(clickhouse_url))) as connection:
        fill(connection, 10)
        monkeypatch.setattr(leases, "_PATIENCE", 0.1)
        with claiming(connection.access, CHANGES) as held:
            assert held.wait(20)
            with pytest.raises(MigrationRefusedError, match="Another process migrates or reprices"):
                run(ServerOperations(connection.access), again())
        assert connection.value("SELECT count() FROM completion_requests WHERE cost_usd IS NOT NULL") == 0


_REPRICER: Final = """
import sys, threading
from tests.clickhouse.history import access
from tests.clickhouse.test_repricing import again, twice
from llm_metrics_proxy.engines.clickhouse.repricing import ServerOperations
print("begins", flush=True)
ServerOperations(access(sys.argv[1]), most_changes=40).reprice(
    again(twice), dry_run=False, stop=threading.Event(), report=lambda done: print(done.looked_at, flush=True))
print("done", flush=True)
"""


def test_kills_of_the_repricer_and_of_the_server_leave_every_record_with_one_price_or_the_other(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with clickhouse_server(tmp_path / "server") as server:
        statement(server, "CREATE DATABASE metrics")
        url = server.url("metrics")
        with closing(Connection(access(url))) as connection:
            fill(connection, 300)
            operations = ServerOperations(connection.access)
            run(operations, again())
            before = all_of(connection)
            log = tmp_path / "repricer.log"
            for kind in ("repricer", "server"):
                with log.open("ab") as out:
                    process = subprocess.Popen((sys.executable, "-c", _REPRICER, url), stdout=out, stderr=out)
                    try:
                        wait_until(
                            lambda: _mutations(connection) > 0, "a batch is changing", 120, process=process, log=log
                        )
                        if kind == "server":
                            server.restart()
                        process.kill()
                    finally:
                        process.kill()
                        process.wait(60)
                assert len(all_of(connection)) == len(before)
            done = _patiently(lambda: run(operations, again(twice)))
            assert done.finished
            runs = _runs(connection)
            assert [each.state for each in runs[1:-1]] == [STOPPED] * (len(runs) - 2)
            assert all(each.whole == len(each.batches) for each in runs)
            assert connection.value("SELECT count() FROM record_repricings WHERE repricing > 1") == sum(
                each.changed for each in runs[1:]
            )
            twofold = all_of(connection)
            assert twofold.keys() == before.keys()
            doubled = "SELECT host, arrival, cost_usd FROM completion_requests WHERE cost_usd IS NOT NULL"
            costs = {(host, arrival): cost for host, arrival, cost in connection.query(doubled)}
            place = _place(connection, "cost_usd")
            assert costs == {key: 2 * one[place] for key, one in before.items() if one[place] is not None}
            for each in reversed(runs[1:]):
                if each.changed:
                    undone = operations.take_back(each.id, stop=threading.Event())
                    assert (undone.restored, undone.conflicts) == (each.changed, 0)
            assert all_of(connection) == before


def _mutations(connection: Connection) -> int:
    """That belong to the last repricing and are not over."""
    try:
        return int(connection.value(
            "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done "
            "AND position(command, 'record_repricing_') > 0"
        ))  # fmt: skip
    except LlmMetricsProxyError:
        return 0


def _runs(connection: Connection) -> tuple[RepricingRun, ...]:
    found = msgspec.json.decode(read_note(connection, NAME).body, type=tuple[RepricingRun, ...])
    return tuple(found)


def _place(connection: Connection, column: str) -> int:
    sql = "SELECT position FROM system.columns WHERE database = currentDatabase() AND table = 'completion_requests' "
    return int(connection.value(f"{sql} AND name = '{column}'")) - 1


def _patiently(work: Any) -> Any:
    found: list[Any] = []

    def tried() -> bool:
        try:
            found.append(work())
        except LlmMetricsProxyError:
            return False
        return True

    wait_until(tried, "the records are repriced", 180)
    return found[0]


def test_the_verb_reprices_and_takes_back_on_a_server(
    pair: Pair, cli: Cli, tmp_path: Path, clickhouse_url: str
) -> None:
    (tmp_path / "f.toml").write_text('[[prices]]\nmodel = "*"\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 1\n')
    flags = ("--config", "f.toml", "--store", clickhouse_url, "--db-path", str(pair.database.path))
    before = values(pair)[1]
    looked = cli("reprice", "--since", "2025-01-01", "--dry-run", *flags)
    assert (looked.code, "would be repriced" in looked.out) == (0, True), looked.err
    assert values(pair)[1] == before
    ran = cli("reprice", "--since", "2025-01-01", *flags)
    assert (ran.code, "as repricing 1. `--undo 1` takes it back." in ran.out) == (0, True), ran.err
    assert values(pair)[1] != before
    undone = cli("reprice", "--undo", "1", *flags)
    assert (undone.code, "have their cost from before repricing 1 again" in undone.out) == (0, True), undone.err
    assert values(pair)[1] == before
