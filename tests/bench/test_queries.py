from pathlib import Path

import pytest

from bench import queries
from llm_metrics_proxy.analytics.answering import ask
from llm_metrics_proxy.analytics.query import Query
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.storage.sqlite import SqliteReader


def test_every_question_is_asked_of_every_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries.main(["--records", "2000", "--turns", "1", "--folder", str(tmp_path)])
    out = capsys.readouterr().out
    assert all(name in out for name in (*queries.QUERIES, *queries.RANGES, "distribution", "heatmap"))
    reader = SqliteReader(tmp_path / "queries-2000.db")
    metrics = ("requests", "success_rate", "time_to_first_token_ms.p50", "total_tokens")
    result = ask(open_records(reader).sources(), Query(metrics=metrics, group_by=("model",)), queries.END)
    reader.close()
    assert result.records == 2000
    assert result.end == queries.END  # the last record is not later
    assert len(result.rows) > 5
    for row in result.rows:
        assert all(one.n > 0 and one.value is not None for one in row.values.values())
