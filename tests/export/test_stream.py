import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.engines.sqlite import records
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export import FORMATS, ExportQuery, export
from tests.analytics.database import Database, a_record


def test_an_unknown_format_is_told_with_those_that_there_are() -> None:
    with pytest.raises(QueryError, match=r"there is no format 'xlsx'; there are: jsonl, csv, parquet"):
        ExportQuery(format="xlsx")


@pytest.mark.parametrize("name", FORMATS)
def test_it_tells_how_far_it_is(database: Database, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(records, "PART_ROWS", 10)
    database.add(*(a_record(number, model="ab"[number % 2]) for number in range(100)))
    pieces = list(export(database.records, ExportQuery(format=name, filter=RequestFilter(model="a"))))
    assert [piece.records for piece in pieces] == [0, 10, 20, 30, 40, 50, 50, 50]
    assert [piece.share for piece in pieces] == [0, 0.19, 0.39, 0.59, 0.79, 0.99, 1.0, 1.0]


@pytest.mark.parametrize("name", FORMATS)
def test_the_set_of_records_is_fixed_at_the_start(database: Database, name: str) -> None:
    database.add(a_record())
    pieces = export(database.records, ExportQuery(format=name))
    next(pieces)
    database.add(a_record(), a_record())
    *_, last = pieces
    assert last.records == 1
