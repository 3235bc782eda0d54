"""What is remembered of records as they are inserted is what would be read of them."""

from pathlib import Path
from random import Random
from typing import Any

import apsw
import numpy as np
import pytest

from llm_metrics_proxy.record import UsageSource
from llm_metrics_proxy.rollups.columns import Columns, joined, of_rows
from llm_metrics_proxy.rollups.tally import ALL_KEYS
from llm_metrics_proxy.rollups.values import ALL
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.expressions import rolled_up
from llm_metrics_proxy.storage.inserted import Behind, Inserted
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.rollups.records import a_row_of, changed

Row = tuple[Any, ...]


def some_rows(count: int, seed: int) -> list[Row]:
    """Of every kind that there can be, and of some that only older programs could leave."""
    random = Random(seed)
    tokens = (None, 0, 1, 5, 2**40, 2**40 + 1, -1)
    return [
        changed(
            a_row_of(random),
            usage_source=random.choice([*UsageSource, "reported", "repeated"]),
            prompt_tokens=random.choice(tokens),
            cached_tokens=random.choice(tokens),
            cost_source=random.choice((None, "own_hardware", "price_table")),
            cost_usd=random.choice((None, 0.5, 0, float("inf"), float("nan"))),
            upstream_cost_usd=random.choice((None, 0.25)),
            cache_savings_usd=random.choice((None, -0.5, 0.125)),
            backend_busy_ms=random.choice((None, 12.5)),
            status_code=random.choice((None, 200, 999, 1000, -1)),
            success=random.choice((True, False, 1, 0, None)),
            is_streaming=random.choice((True, False, 1, 0, None)),
        )
        for _ in range(count)
    ]


def shown(columns: Columns) -> dict[str, Any]:
    """Everything that records have there, with its type."""
    keys = {
        name: [(type(key.values[code]), key.values[code]) for code in key.codes.tolist()]
        for name, key in columns.keys.items()
    }
    fields = {number: values.tobytes() for number, values in columns.fields.items()}
    return {"size": columns.size, "minute": columns.minute.tolist(), "outcome": columns.outcome.tolist()} | keys | {
        f"field {number}": np.frombuffer(values).tolist() for number, values in fields.items()
    }  # fmt: skip


def assert_same(one: Columns, other: Columns) -> None:
    first, second = shown(one), shown(other)
    assert first.keys() == second.keys()
    for name, values in first.items():
        assert repr(values) == repr(second[name]), name  # NaN is itself


@pytest.mark.parametrize("seed", range(8))
def test_columns_are_those_that_would_be_read(tmp_path: Path, seed: int) -> None:
    rows = some_rows(60 if seed else 1, seed)
    path = tmp_path / "metrics.db"
    store = SqliteStore(path)
    store.append(IngestBatch(rows=rows))
    store.close()
    connection = apsw.Connection(str(path))
    read = list(connection.execute(f"SELECT {rolled_up(ALL_KEYS, ALL)} FROM completion_requests ORDER BY arrival"))
    connection.close()
    assert_same(Inserted(list(zip(*rows, strict=True))).rolled_up(), of_rows(read, ALL_KEYS, ALL))


def columns_of(rows: list[Row]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))


def test_batches_that_follow_each_other_are_remembered_in_pieces_of_a_size() -> None:
    rows, behind = some_rows(20, 1), Behind()
    for begin in range(0, 20, 3):
        behind.take(7, 101 + begin, columns_of(rows[begin : begin + 3]))
    pieces = behind.after(7, 100, 5)
    assert pieces is not None
    assert [piece.size for piece in pieces] == [6, 6, 6, 2]
    assert_same(joined(pieces), Inserted(columns_of(rows)).rolled_up())


@pytest.mark.parametrize(
    ("epoch", "cursor"),
    [(8, 100), (7, 99), (7, 101)],
    ids=["records changed", "others came before", "a part is rolled up"],
)
def test_what_may_be_something_else_now_is_not_known(epoch: int, cursor: int) -> None:
    behind = Behind()
    behind.take(7, 101, columns_of(some_rows(2, 1)))
    assert behind.after(epoch, cursor, 5) is None


@pytest.mark.parametrize(
    ("epoch", "first"),
    [(8, 103), (7, 104), (7, 101)],
    ids=["records changed", "others came between", "the batch before was taken back"],
)
def test_a_batch_that_does_not_follow_begins_anew(epoch: int, first: int) -> None:
    behind = Behind()
    behind.take(7, 101, columns_of(some_rows(2, 1)))
    behind.take(epoch, first, columns_of(some_rows(3, 2)))
    pieces = behind.after(epoch, first - 1, 5)
    assert pieces is not None
    assert [piece.size for piece in pieces] == [3]


def test_after_forgetting_nothing_is_known() -> None:
    behind = Behind()
    behind.take(7, 101, columns_of(some_rows(2, 1)))
    behind.forget()
    behind.take(7, 103, columns_of(some_rows(2, 1)))
    assert behind.after(7, 100, 5) is None
