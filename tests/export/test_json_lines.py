import json

from llm_metrics_proxy.analytics import list_requests
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.export import ExportQuery, choose, export
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record
from tests.export.conftest import file_of


def test_a_line_is_a_record_as_the_api_shows_it(database: Database) -> None:
    database.add(a_record(0, user="a\nb\u2028"), a_record(1, model=None))
    lines = file_of(database.reader, ExportQuery(format="jsonl")).decode().split("\n")
    assert lines.pop() == ""
    items = list_requests(database.reader, RequestFilter()).items
    assert [json.loads(line) for line in lines] == items[::-1]


def test_chosen_columns_come_in_the_order_asked_for(database: Database) -> None:
    database.add(a_record(model="qwen"))
    query = ExportQuery(format="jsonl", columns=choose("model,id"))
    assert file_of(database.reader, query) == b'{"model":"qwen","id":1}\n'


def test_what_does_not_fit_its_column_is_null_and_told(odd_reader: SqliteReader) -> None:
    *_, last = export(odd_reader, ExportQuery(format="jsonl"))
    lines = file_of(odd_reader, ExportQuery(format="jsonl")).splitlines()
    assert len(lines) == last.records
    told = [json.loads(line).get("unfit_values", {}) for line in lines]
    assert {name: sum(name in one for one in told) for name in last.unfit} == last.unfit
    assert last.unfit["prompt_tokens"] > 0
