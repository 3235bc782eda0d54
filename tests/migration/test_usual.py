"""The short ways of usual records: what they give is what the frozen SQL gives, and what they vouch for is right."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.migration.carry_oracle import Verifier
from llm_metrics_proxy.migration.usual import ORACLE_WAYS, SHORT_WAYS
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.migration.carrying import carried

ROWS = 4000
# Usual values, and what is nearly so: each is what one condition of a short way is about.
NEARLY: dict[str, tuple[Any, ...]] = {
    "timestamp": (
        "2025-03-01T10:00:00.250000", "2025-03-01 23:59:59.999999", "2025-02-28T10:00:00.000000",
        "2025-02-29T10:00:00.000000", "2025-03-01T24:00:00.000000", "2025-03-01T10:00:60.000000",
        "2025-03-01T10:00:00.25000Z", "2025-03-01t10:00:00.250000", "2025-03-01T10:00:00.25000a",
        "0000-03-01T10:00:00.250000",
        "2025-03-01T10:00:00.250000Z", "2025-03-01T10:00:00", b"2025-03-01T10:00:00.250000",
        "2025-03-01T10:00:00.25\x0000", "2025-00-01T10:00:00.250000", "2025-03-01T10:60:00.250000", None,
    ),
    "success": (1, 1, 0, None, 2, 1.5, "yes"),
    "model": ("llama", "é", "", None, 7, b"x", "m" * 3000),
    "user": (None, "alice", 7, b"u"),
    "is_streaming": (1, 0, None, 2, 0.5, "1"),
    "content_chunks": (None, 0, 5, "x", -1, 1e16),
    "completion_tokens": (80, 2, 1, 0, None, -1, 2.5, 2**62, "x"),
    "total_tokens": (100, 1, 0, None, -5, 0.5, 1e13, 2**62, "x"),
    "response_time_ms": (2000.0, 1e-7, 0.0, None, -1.0, 1e300, float("inf"), 5e-324, "x"),
    "time_to_first_token_ms": (500.0, 0.0, -1.0, None, 1900.0, 1e16, "x"),
    "time_to_last_token_ms": (1900.0, 500.0, 500.0000000001, None, 1e16, float("inf"), "x"),
    "time_to_first_output_ms": (None, 600.0, float("inf"), "x"),
    "finish_reason": ("stop", "length", "tool_calls", "STOP", "content_filter", None, 1),
    "error_type": (None, "timeout", "", 7),
    "error_message": (None, "connection refused", "\n"),
    "outcome": (None, "completed", "COMPLETED", "upstream_error", 1),
    "temperature": (0.7, float("-inf"), "x"),
    "timestamp_original": (None, "2025", 7),
    "time_to_first_token_ms_original": (None, 1.0),
    "outcome_original": (None, "odd"),
    "recompute_reason": (None, "no_total_tokens"),
    "app_version": ("1.0.0", "1.0.0", "2.0.0", "3.0.0", "4.0.0", None),
}  # fmt: skip
TYPES = {
    "is_streaming": "INTEGER", "success": "INTEGER", "content_chunks": "INTEGER", "completion_tokens": "INTEGER",
    "total_tokens": "INTEGER", "response_time_ms": "REAL", "time_to_first_token_ms": "REAL",
    "time_to_last_token_ms": "REAL", "time_to_first_output_ms": "REAL", "temperature": "REAL",
    "time_to_first_token_ms_original": "", "timestamp_original": "", "outcome_original": "",
}  # fmt: skip


@pytest.fixture(params=["typed", "untyped"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Records of which about half have one value or two that are not usual."""
    chance = random.Random(5)
    connection = apsw.Connection(str(tmp_path / "metrics.db"))
    is_typed = request.param == "typed"
    declared = ", ".join(f"{name} {TYPES.get(name, 'TEXT') if is_typed else ''}" for name in NEARLY)
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {declared})")
    with connection:
        for _row in range(ROWS):
            odd = chance.sample(list(NEARLY), chance.choice((0, 1, 1, 2)))
            row = {name: chance.choice(each) if name in odd else each[0] for name, each in NEARLY.items()}
            connection.execute(
                f"INSERT INTO completion_requests ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
    yield tmp_path / "metrics.db"
    connection.close()


def refused(column: str, value: Any) -> bool:
    """By a STRICT table: it is carried otherwise then."""
    holds = REGISTRY[column].kind.holds
    if holds in {"integer", "flag"}:
        return not isinstance(value, int)
    return isinstance(value, bytes) if holds == "text" else not isinstance(value, int | float)


def test_short_ways_belong_to_the_migrations_of_this_program() -> None:
    assert set(SHORT_WAYS) == set(ORACLE_WAYS) == {migration.checksum for migration in MIGRATIONS[:3]}


def test_what_is_usual_is_carried_as_the_frozen_sql_has_it(path: Path) -> None:
    with carried(path, distrusts=False, thorough=True) as now:
        frozen, usual = now.rows(), dict[int, dict[str, Any]]()
        assert len(now.how.usual) == 4  # one for each group of stamps
        for statement in now.how.usual:
            columns = statement.partition("(")[2].partition(")")[0].split(", ")
            for row in now.connection.execute(statement.partition(")")[2], (0, ROWS)):
                assert row[0] not in usual
                usual[row[0]] = dict(zip(columns, row, strict=True))
    assert len(usual) > ROWS / 4
    for number, row in usual.items():
        unfit = json.loads(frozen[number]["unfit_values"] or "{}")
        assert all(refused(column, row[column]) for column in unfit), (unfit, row)
        assert unfit or frozen[number] == dict.fromkeys(frozen[number]) | row


def test_what_is_vouched_for_is_what_the_oracles_in_python_say(path: Path) -> None:
    with carried(path, distrusts=False, thorough=True) as now:
        rows = now.rows()
        assert now.faults() == []
        verifier = Verifier(now.connection, now.how)
        statement = verifier.unproved
        unproved = {number for (number,) in now.connection.execute(statement, (0, ROWS))}
        assert len(unproved) < ROWS * 0.9
        verifier.unproved = ""
        assert verifier.faults(0, ROWS, 10) == []
        # a record that is wrong anywhere is no longer vouched for
        proved = [number for number in rows if number not in unproved]
        chance = random.Random(7)
        numbers = ("tokens_per_second", "output_tokens_per_second", "time_per_output_token_ms",
                   "time_to_first_token_ms", "time_to_last_token_ms_original")  # fmt: skip
        texts = ("timestamp", "outcome", "error_type", "error_category", "recompute_reason", "timestamp_original",
                 "model", "app_version", "unfit_values")  # fmt: skip
        for column in (*numbers, *texts):
            number = chance.choice(proved)
            wrong = "x" if column in texts else (rows[number][column] or 1.0) * (1 + 1e-15)
            now.connection.execute(f"UPDATE completion_requests SET {column} = ? WHERE arrival = ?", (wrong, number))
            assert (number,) in now.connection.execute(statement, (0, ROWS)).fetchall(), column
            now.connection.execute(
                f"UPDATE completion_requests SET {column} = ? WHERE arrival = ?", (rows[number][column], number)
            )
