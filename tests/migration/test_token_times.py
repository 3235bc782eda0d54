"""SQL, oracle and the formula of new records agree on any older record; and what becomes of files."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_metrics_proxy.metrics_service import formula_of, to_row
from llm_metrics_proxy.migration import token_times
from llm_metrics_proxy.migration.token_times import TIMES
from llm_metrics_proxy.migration.token_times_oracle import oracle
from llm_metrics_proxy.record import BY_FORMULA, RAW_COLUMNS, ROW_COLUMNS, Outcome, RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS, migrate_to_version_4_0_0
from tests import legacy
from tests.examples import examples
from tests.migration.carrying import carried
from tests.migration.databases import execute

_COLUMNS: Final = ", ".join(token_times.INPUTS)
NEW: Final = ("time_per_output_token_ms", "output_tokens_per_second")
KEPT: Final = tuple(f"{name}_original" for name in TIMES)
_some_ms = st.sampled_from([0.0, 0.001, 200.0, 1200.0, 1300.0, 1e300, float("inf"), -5.0])
_number = st.integers(-3, 4) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _some_ms
_odd = st.none() | st.sampled_from(["", "1", "abc", "200.5", b"", b"1", b"\xff"])


def bits(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """With types, and floats by their bits."""
    return tuple((type(value), struct.pack("<d", value) if isinstance(value, float) else value) for value in values)


@pytest.fixture(scope="module", params=["", "BLOB", "REAL", "INTEGER", "NUMERIC"])
def table(request: pytest.FixtureRequest) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    typed = ", ".join(f"{name} {request.param}" for name in token_times.INPUTS)
    connection.execute(f"CREATE TABLE completion_requests ({typed})")
    yield connection
    connection.close()


@examples(150)
@given(
    st.fixed_dictionaries(
        dict.fromkeys(token_times.INPUTS, _number | _odd)
        | {
            "is_streaming": st.sampled_from([0, 1]) | _number | _odd,
            "content_chunks": st.none() | _number | _odd,
            "outcome": st.sampled_from(["completed", "timeout", None, b"completed"]),
            "recompute_reason": st.sampled_from([None, "no_total_tokens"]),
        }
    )
)
@example({"is_streaming": 1, "time_to_first_token_ms": 1, "time_to_last_token_ms": 4, "completion_tokens": 3})
@example({"is_streaming": 1, "time_to_first_token_ms": 2**53, "time_to_last_token_ms": 2**53 + 1,
          "completion_tokens": 2**63 - 1, "outcome": "completed"})  # fmt: skip
def test_sql_and_oracle_agree_to_the_bit(table: apsw.Connection, given_values: dict[str, Any]) -> None:
    migration = migrate_to_version_4_0_0()
    table.execute("DELETE FROM completion_requests")
    table.execute(
        f"INSERT INTO completion_requests VALUES ({', '.join('?' * len(token_times.INPUTS))})",
        tuple(given_values.get(name) for name in token_times.INPUTS),
    )
    (stored,) = table.execute(f"SELECT {_COLUMNS} FROM completion_requests")  # as the columns' types made them
    expressions = [*(change.expression for change in migration.changes), migration.reason_expression]
    wanted = ", ".join(map(migration.evaluated, expressions))
    (written,) = table.execute(f"SELECT {wanted} FROM completion_requests")
    expected = oracle(*stored)
    assert bits(written) == bits(expected)
    table.execute("ALTER TABLE completion_requests ADD COLUMN time_per_output_token_ms")
    table.execute("ALTER TABLE completion_requests ADD COLUMN output_tokens_per_second")
    try:
        columns = [change.column for change in migration.changes]
        sets = ", ".join(f"{name} = ?" for name in columns)
        table.execute(f"UPDATE completion_requests SET {sets}", expected[:-1])
        ((follows,),) = table.execute(
            f"SELECT NOT {migration.evaluated(migration.distrusted)} FROM completion_requests"
        )
        assert follows == 1, "what it has written is not distrusted"
    finally:
        for name in NEW:
            table.execute(f"ALTER TABLE completion_requests DROP COLUMN {name}")


_ms = st.none() | st.floats(0, 1e7) | _some_ms
_tokens = st.none() | st.integers(0, 3) | st.integers(0, 2**40)
records = st.builds(
    RequestRecord,
    request_id=st.just("0" * 32), timestamp=st.just("2026-01-01T00:00:00.000000Z"), method=st.just("POST"),
    endpoint=st.just("/v1/x"), model=st.none() | st.just("m"), is_streaming=st.booleans(),
    outcome=st.sampled_from([Outcome.COMPLETED, *Outcome]), status_code=st.sampled_from([None, 200, 404, 500]),
    finish_reason=st.sampled_from([None, "stop", "refusal"]), error_type=st.sampled_from([None, "quota", "odd"]),
    content_chunks=st.none() | st.integers(0, 3), total_tokens=_tokens, completion_tokens=_tokens,
    response_time_ms=_ms, time_to_first_byte_ms=_ms, time_to_first_token_ms=_ms, time_to_first_output_ms=_ms,
    time_to_last_token_ms=_ms,
)  # fmt: skip


def settled_success(record: RequestRecord) -> RequestRecord:
    """What every program writes: the flag says what the outcome does."""
    record.success = record.outcome == Outcome.COMPLETED
    return record


@examples(60)
@given(
    st.lists(records.map(settled_success), min_size=1, max_size=8), st.sampled_from(["1.0.0", "2.2.0", "2.0.0-rc.1"])
)
def test_a_new_record_is_what_the_migrations_make_of_the_same_facts(
    tmp_path_factory: pytest.TempPathFactory, older: list[RequestRecord], stamp: str
) -> None:
    path = tmp_path_factory.mktemp("same") / "metrics.db"
    names = (*RAW_COLUMNS, "tokens_per_second", "app_version")
    rows = [(*msgspec.structs.astuple(record), *formula_of("2.0.0")(record), stamp) for record in older]
    connection = apsw.Connection(str(path))
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {', '.join(names)})")
    connection.executemany(
        f"INSERT INTO completion_requests ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [(f"{number:032}", *row[1:]) for number, row in enumerate(rows)],
    )
    connection.close()
    with carried(path, distrusts=False) as now:
        assert now.faults() == []
        found = list(now.rows().values())
    for record, row in zip(older, found, strict=True):
        new = dict(zip(ROW_COLUMNS, to_row(record), strict=True)) | {"app_version": MIGRATIONS[-1].version}
        compared = [*BY_FORMULA, "app_version"]
        assert [_finite(new[name]) for name in compared] == [
            _finite(_as_new(name, row[name], new)) for name in compared
        ]


def _finite(value: Any) -> Any:
    return None if value == INF else value  # an infinite time fits no column


def _as_new(name: str, value: Any, new: dict[str, Any]) -> Any:
    """The one known difference, of 2.0.0: its migration gives no rate that is infinite or rests on an infinite time."""
    was_refused = name == "tokens_per_second" and value is None
    return new[name] if was_refused and INF in (new[name], new["response_time_ms"]) else value


INF: Final = float("inf")
_STREAM: Final[dict[str, Any]] = {
    "timestamp": "2025-03-01T10:00:00.250000Z", "success": 1, "status_code": 200, "response_time_ms": 1300.0,
    "model": "llama", "is_streaming": 1, "prompt_tokens": 20, "completion_tokens": 101, "total_tokens": 121,
    "finish_reason": "stop", "time_to_first_token_ms": 200.0, "time_to_last_token_ms": 1200.0,
}  # fmt: skip
_WHOLE: Final = {**_STREAM, "is_streaming": 0, "time_to_first_token_ms": 1300.0, "time_to_last_token_ms": 1300.0}
_ODD_VALUES: Final = (
    None, 0, 0.0, -0.0, 1, 1.0, -1, 1300, 1e308, 5e-324, INF, -INF, 2**63 - 1, -(2**63), 2**53 + 1, "", "abc", "12",
    "é\0x", b"", b"\x00\xff",
)  # fmt: skip
_ODD_FLAGS: Final = (None, 0, 1, 0.0, 1.0, 2, "true", "false", "0", b"1", INF)
# Whatever may stand in one of the columns that count, in a stream, in an answer in one piece, and where nobody knows.
ODD: Final[tuple[dict[str, Any], ...]] = tuple(
    {**base, "is_streaming": flag, name: odd}
    for base in (_STREAM, _WHOLE, {**_WHOLE, "success": 0, "status_code": 500})
    for flag in _ODD_FLAGS
    for name in ("time_to_first_token_ms", "time_to_last_token_ms", "completion_tokens", "response_time_ms")
    for odd in _ODD_VALUES
)


def carried_rows(path: Path, **more: Any) -> list[dict[str, Any]]:
    """In order, each held against the oracles."""
    with carried(path, **more) as now:
        assert now.faults() == []
        return list(now.rows().values())


def test_what_1_x_wrote_for_answers_in_one_piece_goes_aside_and_streams_get_a_speed(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "1.1", [_STREAM, _WHOLE, {**_STREAM, "completion_tokens": None}])
    names = (*TIMES, *KEPT, *NEW, "tokens_per_second", "recompute_reason")
    stream, whole, uncounted = (tuple(row[name] for name in names) for row in carried_rows(path))
    rate = 121 * 1000 / 1300.0
    assert stream == (200.0, None, 1200.0, None, None, None, 10.0, 100.0, rate, None)
    assert whole == (None, None, None, 1300.0, None, 1300.0, None, None, rate, None)
    assert uncounted == (200.0, None, 1200.0, None, None, None, None, None, rate, "no_completion_tokens")


@pytest.mark.parametrize("layout", ["2.0 without types", "2.0"])
def test_odd_values_are_carried_over_and_held_against_the_oracles(tmp_path: Path, layout: str) -> None:
    rows = carried_rows(legacy.make(tmp_path / "metrics.db", layout, ODD))
    assert {row["app_version"] for row in rows} == {MIGRATIONS[-1].version}
    for row, given_values in zip(rows, ODD, strict=True):
        time, kept = row[TIMES[0]], row[KEPT[0]]
        was = given_values[TIMES[0]]
        if layout == "2.0 without types" and time is None and kept is not None:
            assert (type(kept), kept) == (type(was), was)
    assert any(row["unfit_values"] for row in rows)


def test_a_phase_that_3_0_0_told_from_a_time_stands_though_the_time_went_aside(tmp_path: Path) -> None:
    failed = {**_WHOLE, "success": 0, "status_code": 500, "total_tokens": None}
    (row,) = carried_rows(legacy.make(tmp_path / "metrics.db", "2.0", [failed]))
    assert (row["time_to_first_token_ms"], row["error_phase"]) == (None, "mid_stream")


def test_originals_that_are_in_use_stay(tmp_path: Path) -> None:
    """Copied by hand from a migrated database into a file that is not ours."""
    path = legacy.make(tmp_path / "metrics.db", "2.0 without types", [_WHOLE, _WHOLE, _WHOLE])
    execute(path, "ALTER TABLE completion_requests ADD COLUMN time_to_first_token_ms_original")
    execute(path, "UPDATE completion_requests SET time_to_first_token_ms_original = '7', time_to_first_token_ms = NULL "
            "WHERE id = 1")  # fmt: skip
    execute(path, "UPDATE completion_requests SET time_to_first_token_ms_original = 7 WHERE id = 2")
    times = [(row["time_to_first_token_ms"], row["time_to_first_token_ms_original"]) for row in carried_rows(path)]
    assert times == [(None, "7"), (None, 7), (None, 1300.0)]


def test_a_stamp_of_4_0_0_in_another_program_s_file_is_held_against_the_record(tmp_path: Path) -> None:
    following = {"app_version": "4.0.0", "time_per_output_token_ms": 10.0, "output_tokens_per_second": 100.0}
    path = legacy.make(tmp_path / "metrics.db", "2.0 without types", [_STREAM] * 3)
    for name in NEW:
        execute(path, f"ALTER TABLE completion_requests ADD COLUMN {name}")
    sets = ", ".join(f"{name} = {value!r}" for name, value in following.items())
    execute(path, f"UPDATE completion_requests SET {sets}")
    execute(path, "UPDATE completion_requests SET output_tokens_per_second = 1 WHERE id = 2")
    execute(path, "UPDATE completion_requests SET is_streaming = 0 WHERE id = 3")
    chain = MIGRATIONS[:3]
    values = [
        (row["output_tokens_per_second"], row["time_to_last_token_ms"])
        for row in carried_rows(path, chain=chain, app_version="4.0.0", distrusts=True)
    ]
    assert values == [(100.0, 1200.0), (100.0, 1200.0), (None, None)]


def test_a_lost_original_is_found(tmp_path: Path) -> None:
    path = legacy.make(tmp_path / "metrics.db", "2.0", [_STREAM, _WHOLE])
    good = migrate_to_version_4_0_0()
    first, *others = good.changes
    forgetful = good._replace(changes=(first._replace(keep_when="0"), *others))
    with carried(path, chain=(*MIGRATIONS[:2], forgetful)) as now:
        (fault,) = now.faults()
    assert (fault.record_id, fault.message) == (2, "time_to_first_token_ms_original is None and should be 1300.0")
