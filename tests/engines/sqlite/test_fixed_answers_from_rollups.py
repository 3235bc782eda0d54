"""Answers of a fixed shape say the same from roll-ups as from records."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from llm_metrics_proxy.analytics import ErrorsQuery, RequestFilter, records_by_version
from llm_metrics_proxy.analytics.errors import MAX_BUCKETS, read_errors
from llm_metrics_proxy.analytics.summary import summarise
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.engines.sqlite import rollup_source
from llm_metrics_proxy.rollups.state import FINGERPRINT, RollupState
from llm_metrics_proxy.storage import rollup_store
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.retention import prune_some
from llm_metrics_proxy.storage.rollup_state import read_state, reset, write_state
from llm_metrics_proxy.storage.rollup_store import add, gather
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from llm_metrics_proxy.wire.error_types import PHASES, TAXONOMY
from tests.examples import examples
from tests.rollups.records import FIRST, a_row_of, changed

Row = tuple[Any, ...]
WRONG: Final = [row for row in TAXONOMY if row.category in {"limit", "upstream", "network"}]


def a_day_or_three(random: Random, count: int, odd_times: float = 0) -> list[Row]:
    """Rows of which a third are errors, some of them limits with a Retry-After."""
    rows = []
    for _ in range(count):
        row = a_row_of(random, hours=random.choice((1, 30, 75)), odd=False)
        if random.random() < odd_times:
            row = changed(row, timestamp=None)
        if random.random() < 0.33:
            wrong = random.choice(WRONG)
            row = changed(
                row, success=False, outcome="upstream_error", error_category=wrong.category, error_type=wrong.type,
                error_phase=random.choice((None, *PHASES)), backend=random.choice((None, "h:1", "h:2")),
                retry_after_ms=random.choice((None, None, 1500.0)),
            )  # fmt: skip
        else:
            row = changed(row, error_category=None, error_type=None)
        rows.append(row)
    return rows


def rolled_up(path: Path, rows: list[Row], records: int) -> None:
    store = SqliteStore(path)
    store.append(IngestBatch(rows=rows))
    store.close()
    connection = apsw.Connection(str(path))
    write_state(connection, RollupState(tables=FINGERPRINT))
    with pytest.MonkeyPatch.context() as patch, connection:
        patch.setattr(rollup_store, "DENSE_DAY", 600)
        patch.setattr(rollup_store, "DENSE_QUARTER", 30)
        assert add(connection, gather(connection, read_state(connection), records))
    connection.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 records of three days, 100 of which are not rolled up yet."""
    path, random = tmp_path_factory.mktemp("rolled_up") / "metrics.db", Random(21)
    rolled_up(path, a_day_or_three(random, 3000, odd_times=0.05), 2900)
    return path


@pytest.fixture(scope="module")
def bare(path: Path) -> Path:
    """The same records without roll-ups."""
    copy = path.with_name("bare.db")
    with apsw.Connection(str(copy)) as target, target.backup("main", apsw.Connection(str(path)), "main") as backup:
        backup.step()
    with apsw.Connection(str(copy)) as connection:
        reset(connection)
    return copy


@pytest.fixture
def readers(path: Path, bare: Path) -> Iterator[tuple[SqliteReader, SqliteReader]]:
    both = SqliteReader(path), SqliteReader(bare)
    yield both
    for reader in both:
        reader.close()


@pytest.fixture(autouse=True)
def always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few thousand records would be read as they are."""
    monkeypatch.setattr(rollup_source, "is_worth_it", lambda *_: True)


SELECTIONS: Final = st.builds(
    lambda start, hours, is_open: RequestFilter(
        start=None if is_open & 1 else start, end=None if is_open & 2 else start + timedelta(hours=hours)
    ),
    st.datetimes(datetime(2026, 3, 28, 19), datetime(2026, 3, 31, 12), timezones=st.just(UTC)),
    st.floats(0.01, 80),
    st.integers(0, 3),
)


def alike(found: Any, wanted: Any, within: float = 1e-9) -> bool:
    """Equal, but for the last digits of what was added up in another order, and percentiles."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(
            alike(found[key], value, 0.0101 if key in {"p50", "p95", "p99"} else within)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(alike(*pair, within) for pair in zip(found, wanted, strict=True))
    if isinstance(wanted, float):
        return found is not None and abs(found - wanted) <= within * abs(wanted) + 1e-6
    return bool(found == wanted)


def plain(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(answer)
    for name in ("source", "relative_error"):
        found.pop(name, None)
    if "outcomes" in found:  # equally many in any order
        found["errors"].sort(key=lambda one: (str(one["outcome"]), str(one["error_type"])))
    return found


def summary_of(reader: SqliteReader, selection: RequestFilter) -> Any:
    return summarise(open_records(reader), selection)


def errors_of(reader: SqliteReader, selection: RequestFilter) -> Any:
    return read_errors(open_records(reader), ErrorsQuery(filter=selection, examples=7))


@pytest.mark.parametrize("answer", [summary_of, errors_of])
@examples(60, allow=(HealthCheck.function_scoped_fixture,))
@given(selection=SELECTIONS)
def test_roll_ups_say_what_records_say(
    readers: tuple[SqliteReader, SqliteReader], answer: Callable[..., Any], selection: RequestFilter
) -> None:
    found, wanted = (answer(reader, selection) for reader in readers)
    assert wanted.source == "records"
    assert found.source == ("both" if found.requests else found.source)
    for name, value in plain(wanted).items():
        assert alike(plain(found)[name], value), (name, plain(found)[name], value)


@pytest.mark.parametrize(
    "words",
    [
        {"model": "gpt-4o"},
        {"backend_name": "a"},
        {"backend": "h:1"},
        {"error_category": "limit"},
        {"error_phase": "mid_stream"},
    ],
)
def test_errors_can_be_filtered_by_what_they_are_counted_by(
    readers: tuple[SqliteReader, SqliteReader], words: dict[str, str]
) -> None:
    selection = RequestFilter(start=FIRST, **words)
    found, wanted = (errors_of(reader, selection) for reader in readers)
    assert (found.source, wanted.source) == ("both", "records")
    assert plain(found) == plain(wanted)


@pytest.mark.parametrize("answer", [summary_of, errors_of])
def test_what_roll_ups_do_not_know_is_answered_by_records(
    readers: tuple[SqliteReader, SqliteReader], answer: Callable[..., Any]
) -> None:
    selection = RequestFilter(user_agent="there is none")
    assert [answer(reader, selection).source for reader in readers] == ["records", "records"]


def test_versions_are_counted_by_roll_ups_but_for_pruned_records(
    readers: tuple[SqliteReader, SqliteReader], path: Path, tmp_path: Path
) -> None:
    found, counted = (records_by_version(open_records(reader)) for reader in readers)
    assert found == counted
    assert len(found) > 1
    copy = tmp_path / "metrics.db"
    copy.write_bytes(path.read_bytes())
    with apsw.Connection(str(copy)) as connection:
        assert prune_some(connection, int(datetime(2026, 3, 30, tzinfo=UTC).timestamp()), 1000)
    reader = SqliteReader(copy)
    left = records_by_version(open_records(reader))
    reader.close()
    assert sum(left.values()) == sum(found.values()) - 1000


@pytest.mark.parametrize("answer", [summary_of, errors_of])
def test_records_that_were_pruned_are_counted_by_roll_ups_and_told_of_without_them(
    tmp_path: Path, answer: Callable[..., Any]
) -> None:
    path = tmp_path / "metrics.db"
    rolled_up(path, a_day_or_three(Random(5), 800), 800)
    before = SqliteReader(path)
    whole = answer(before, RequestFilter())
    before.close()
    kept = datetime(2026, 3, 30, tzinfo=UTC)
    with apsw.Connection(str(path)) as connection:
        assert prune_some(connection, int(kept.timestamp()), 1000)
    reader = SqliteReader(path)
    found, by_agent = answer(reader, RequestFilter()), answer(reader, RequestFilter(user_agent="none"))
    reader.close()
    assert (found.source, found.requests, found.pruned_before) == ("both", whole.requests, None)
    assert found.last_timestamp == whole.last_timestamp
    assert found.first_timestamp > whole.first_timestamp  # of what is left
    assert (by_agent.source, by_agent.pruned_before) == ("records", kept)


def test_errors_of_pruned_days_are_in_buckets_too(tmp_path: Path) -> None:
    path, kept = tmp_path / "metrics.db", datetime(2026, 3, 31, tzinfo=UTC)
    rows = a_day_or_three(Random(6), 799)
    last = changed(rows[0], request_id="f" * 32, timestamp="2026-03-31T20:00:00.000000Z")  # it is never pruned
    rolled_up(path, [*rows, last], 800)
    with apsw.Connection(str(path)) as connection:
        assert prune_some(connection, int(kept.timestamp()), 1000)
    reader = SqliteReader(path)
    found = errors_of(reader, RequestFilter())
    reader.close()
    assert found.source == "both"
    assert len(found.buckets) <= MAX_BUCKETS
    assert sum(bucket.n for bucket in found.buckets) == found.errors
    assert sum(bucket.requests for bucket in found.buckets) == found.requests == 800
