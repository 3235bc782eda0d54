"""Any value, in any column, of any declared type: it is in the new table, or ``unfit_values`` says what stood there."""

import json
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_metrics_proxy.record import ALL_COLUMNS, KEY_COLUMNS, REGISTRY
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.migration.carrying import Carried, carried

INVALID = b"caf\xe9 \xff"  # text of a program that wrote Latin-1
TYPES = ("", "TEXT", "INTEGER", "REAL", "NUMERIC", "DATETIME", "VARCHAR(16)", "BLOB", "BOOLEAN", "TEXT COLLATE NOCASE")
FOREIGN = [name for name in ALL_COLUMNS if name not in KEY_COLUMNS]
TEXTS = (
    "",
    "llama",
    "007",
    "1.50",
    "12",
    " 7 ",
    "1e3",
    "é",
    "a\0b",
    "stop",
    "completed",
    "2.0.0",
    "4.5.0",
    "Inf",
    "0x10",
)
TIMES = ("2025-03-01T10:00:00.250000", "2025-03-01 10:00:00+02:00", "2025-03-01T10:00:00.250000Z", "yesterday")
values = st.one_of(
    st.none(),
    st.sampled_from((*TEXTS, *TIMES, INVALID, '{"usage":{"prompt_tokens":5,"completion_tokens":7}}', "openai_chat")),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 3),
    st.floats(allow_nan=False),
    st.sampled_from((0.0, 1.0, 12.5, 1500.0, float(2**53), 9.3e18)),
    st.binary(max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)


def foreign(path: Path, columns: dict[str, str], rows: list[dict[str, Any]], encoding: str = "UTF-8") -> Path:
    path.unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA encoding = '{encoding}'")
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    connection.execute(f"CREATE TABLE completion_requests (id INTEGER PRIMARY KEY, {declared})")
    for row in rows:
        names = [name for name in row if name in columns]
        places = ", ".join("CAST(? AS TEXT)" if row[name] == INVALID else "?" for name in names)
        listed = ", ".join(f'"{name}"' for name in names)
        into = f"({listed}) VALUES ({places})" if names else "DEFAULT VALUES"
        connection.execute(f"INSERT INTO completion_requests {into}", [row[name] for name in names])
    connection.close()
    return path


def one(path: Path, columns: dict[str, str], row: dict[str, Any], **more: Any) -> dict[str, Any]:
    with carried(foreign(path, columns, [row]), **more) as now:
        assert now.faults() == []
        return now.rows()[1]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_stands_anywhere_is_carried_over_or_named(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    columns = data.draw(st.dictionaries(st.sampled_from(FOREIGN), st.sampled_from(TYPES), min_size=1, max_size=12))
    columns |= {"timestamp": data.draw(st.sampled_from(TYPES)), "model": data.draw(st.sampled_from(TYPES))}
    rows = data.draw(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(columns, values)), max_size=6))
    path = foreign(tmp_path_factory.mktemp("any") / "metrics.db", columns, rows)
    with carried(path, distrusts=data.draw(st.booleans())) as now:
        assert now.faults() == []
        carried_rows = now.rows()
        assert len(carried_rows) == len(rows)
        for row in carried_rows.values():
            check_kinds(row)


def check_kinds(row: dict[str, Any]) -> None:
    for name, value in row.items():
        holds = REGISTRY[name].kind.holds
        assert value is None or holds != "flag" or value in {0, 1}
        assert not isinstance(value, float) or abs(value) <= 1.8e308 or holds == "any"
    for name, said in json.loads(row["unfit_values"] or "{}").items():
        assert len(said) <= 256
        assert row[name] is None or "\ufffd" in row[name]


def test_what_declared_numbers_made_of_words_is_undone(tmp_path: Path) -> None:
    columns = {"timestamp": "DATETIME", "model": "NUMERIC", "total_tokens": "REAL", "temperature": "TEXT"}
    row = one(
        tmp_path / "a.db", columns,
        {"timestamp": TIMES[0], "model": "7", "total_tokens": 1500, "temperature": 0.7},
    )  # fmt: skip
    assert (row["model"], row["total_tokens"], row["temperature"]) == ("7", 1500, 0.7)
    assert row["unfit_values"] is None
    assert row["app_version"] == MIGRATIONS[-1].version


def test_what_does_not_fit_is_missing_and_named(tmp_path: Path) -> None:
    columns = dict.fromkeys(("timestamp", "model", "total_tokens", "response_time_ms", "success", "finish_reason"), "")
    odd = {"timestamp": 12, "model": 7, "total_tokens": "many", "response_time_ms": float("inf"), "success": 5,
           "finish_reason": b"stop"}  # fmt: skip
    row = one(tmp_path / "a.db", columns, odd)
    assert [row[name] for name in columns] == [None] * len(columns)
    assert row["timestamp_original"] == 12
    assert json.loads(row["unfit_values"]) == {
        "model": "7", "total_tokens": "'many'", "response_time_ms": "inf", "success": "5",
        "finish_reason": "X'73746F70'",
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
def test_text_that_is_no_unicode_is_mended_and_named(tmp_path: Path, encoding: str) -> None:
    path = foreign(tmp_path / "a.db", {"timestamp": "TEXT", "model": "TEXT"}, [{"model": "llama"}], encoding)
    connection = apsw.Connection(str(path))
    invalid = b"caf\xe9" if encoding == "UTF-8" else b"c\0\x00\xd8a\0"
    connection.execute("UPDATE completion_requests SET model = CAST(? AS TEXT)", (invalid,))
    connection.close()
    with carried(path) as now:
        row = now.rows()[1]
        assert "\ufffd" in row["model"]
        assert "\ufffd" in json.loads(row["unfit_values"])["model"]
        assert now.faults() == []


def test_text_in_any_language_needs_the_quick_statement_alone(tmp_path: Path) -> None:
    rows = [{"timestamp": TIMES[0], "model": model} for model in ("llama", "通义千问", "é\0x", None)]
    with carried(foreign(tmp_path / "a.db", {"timestamp": "DATETIME", "model": "TEXT"}, rows)) as now:
        assert now.fitted
        assert [row["model"] for row in now.rows().values()] == [row["model"] for row in rows]
        assert now.faults() == []


def test_a_request_id_that_is_there_twice_stays_with_the_first(tmp_path: Path) -> None:
    rows = [{"request_id": name} for name in ("a", "b", "a", None, "a", "c")]
    path = foreign(tmp_path / "a.db", {"timestamp": "TEXT", "model": "TEXT", "request_id": "TEXT"}, rows)
    with carried(path, batch=2) as now:
        found = now.rows()
        assert [row["request_id"] for row in found.values()] == ["a", "b", None, None, None, "c"]
        assert json.loads(found[5]["unfit_values"]) == {"request_id": "'a'"}
        assert now.faults() == []


WRONG = {
    "model = 'x'": "model",
    "model = NULL": "model",
    "tokens_per_second = 1.5": "tokens_per_second",
    "outcome = 'timeout'": "outcome",
    "timestamp = '2025-03-01T10:00:00.250001Z'": "timestamp",
    "timestamp_original = NULL": "timestamp_original",
    "unfit_values = '{}'": "unfit_values",
    "app_version = '4.0.0'": "app_version",
    "recompute_reason = 'no_total_tokens'": "recompute_reason",
    "temperature = 9e999": "temperature",
    "method = 'POST'": "method",
}


@pytest.mark.parametrize("wrong", [*WRONG, None])
def test_a_value_that_is_wrong_is_found_and_named(tmp_path: Path, wrong: str | None) -> None:
    names = ("timestamp", "model", "total_tokens", "response_time_ms", "is_streaming", "temperature")
    columns = dict.fromkeys(names, "") | {"method": "TEXT"}
    good = {"timestamp": TIMES[0], "model": "llama", "total_tokens": 10, "response_time_ms": 5.0, "is_streaming": 0}
    with carried(foreign(tmp_path / "a.db", columns, [good] * 3)) as now:
        assert now.faults() == []
        if wrong is None:
            now.connection.execute("DELETE FROM completion_requests WHERE arrival = 2")
        else:
            now.connection.execute(f"UPDATE completion_requests SET {wrong} WHERE arrival = 2")
        (fault,) = now.faults()
        assert fault.record_id == 2
        assert (WRONG[wrong] if wrong else "not carried over") in fault.message


def test_limits(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.db", {"timestamp": "TEXT", "model": "TEXT"}, [{"model": "llama"}] * 5)
    with carried(path) as now:
        now.connection.execute("UPDATE completion_requests SET model = 'x'")
        assert len(faults(now, 3)) == 3


def faults(now: Carried, limit: int) -> list[Any]:
    return now.faults(limit)
