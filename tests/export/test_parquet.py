import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from llm_metrics_proxy.analytics import RequestFilter, list_requests
from llm_metrics_proxy.engines.sqlite import records
from llm_metrics_proxy.export import ExportQuery, choose, export, parquet
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY
from tests.analytics.database import Database, a_record
from tests.export.conftest import asked, carry_over, file_of

QUERY = ExportQuery(format="parquet")


def test_the_schema_is_that_of_the_record_with_units_in_the_metadata(database: Database) -> None:
    file = pq.ParquetFile(io.BytesIO(file_of(database, QUERY)))
    schema = file.schema_arrow
    assert tuple(schema.names) == ALL_COLUMNS
    for name, fact in REGISTRY.items():
        metadata = schema.field(name).metadata
        assert metadata[b"meaning"].decode() == fact.meaning
        assert metadata.get(b"unit", b"").decode() == fact.unit
    kinds = {name: str(schema.field(name).type) for name in ALL_COLUMNS}
    assert kinds["timestamp"] == "timestamp[us, tz=UTC]"
    assert (kinds["is_streaming"], kinds["prompt_tokens"], kinds["model"]) == ("bool", "int64", "string")
    assert (kinds["response_time_ms"], kinds["tokens_per_second"], kinds["arrival"]) == ("double", "double", "int64")
    assert file.schema_arrow.metadata[b"app_version"].decode() == APP_VERSION


def test_values_are_those_that_the_api_shows(database: Database) -> None:
    facts: list[dict[str, Any]] = [{}, {"model": None, "is_streaming": False}, {"user": "", "prompt_tokens": 2**62}]
    database.add(*(a_record(number, **changes) for number, changes in enumerate(facts)))
    rows = pq.read_table(io.BytesIO(file_of(database, QUERY))).to_pylist()
    items = list_requests(database.records, RequestFilter()).items[::-1]
    for row, item in zip(rows, items, strict=True):
        assert row.pop("timestamp") == datetime.fromisoformat(item.pop("timestamp"))
        assert row == item


def test_duckdb_counts_what_the_summary_counts(database: Database, tmp_path: Path) -> None:
    database.add(*(a_record(number, response_time_ms=float(number)) for number in range(1, 101)))
    path = tmp_path / "records.parquet"
    path.write_bytes(file_of(database, QUERY))
    question = f"SELECT count(*), sum(response_time_ms), quantile_cont(response_time_ms, 0.95) FROM '{path}'"
    assert asked(question) == [(100, 5050.0, 95.05)]
    assert asked(f"SELECT count(*) FROM '{path}' WHERE timestamp >= '2026-03-01 12:01:00Z'") == [(41,)]


def test_many_row_groups_are_one_file(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PART_ROWS", 7)
    monkeypatch.setattr(parquet, "GROUP_ROWS", 20)
    database.add(*(a_record(number) for number in range(100)))
    pieces = list(export(database.records, ExportQuery(format="parquet", columns=choose("arrival,model"))))
    file = pq.ParquetFile(io.BytesIO(b"".join(piece.data for piece in pieces)))
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [21, 21, 21, 21, 16]
    assert file.read()["arrival"].to_pylist() == list(range(1, 101))
    assert sum(bool(piece.data) for piece in pieces) == 6  # the mark, four groups, the last with the end


def test_what_a_migration_kept_is_text(database: Database) -> None:
    database.add(a_record(0, prompt_tokens=None), a_record(1))
    unfit = '{"prompt_tokens":"\'many\'"}'
    carry_over(database, 1, unfit_values=unfit, timestamp_original=b"\x00", outcome_original=2.5, timestamp=None)
    names = "timestamp,timestamp_original,outcome_original,unfit_values"
    table = pq.read_table(io.BytesIO(file_of(database, ExportQuery(format="parquet", columns=choose(names)))))
    first, second = table.to_pylist()
    assert list(first.values()) == [None, "X'00'", "2.5", unfit]
    assert list(second.values())[1:] == [None, None, None]


def test_no_records_are_a_file_with_a_schema(database: Database) -> None:
    table = pq.read_table(io.BytesIO(file_of(database, QUERY)))
    assert (table.num_rows, tuple(table.column_names)) == (0, ALL_COLUMNS)
