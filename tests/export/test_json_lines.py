import json

from llm_metrics_proxy.analytics import list_requests
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.export import ExportQuery, choose
from tests.analytics.database import Database, a_record
from tests.export.conftest import carry_over, file_of


def test_a_line_is_a_record_as_the_api_shows_it(database: Database) -> None:
    database.add(a_record(0, user="a\nb\u2028"), a_record(1, model=None))
    lines = file_of(database, ExportQuery(format="jsonl")).decode().split("\n")
    assert lines.pop() == ""
    items = list_requests(database.records, RequestFilter()).items
    assert [json.loads(line) for line in lines] == items[::-1]


def test_chosen_columns_come_in_the_order_asked_for(database: Database) -> None:
    database.add(a_record(model="qwen"))
    query = ExportQuery(format="jsonl", columns=choose("model,arrival"))
    assert file_of(database, query) == b'{"model":"qwen","arrival":1}\n'


def test_what_did_not_fit_its_column_is_an_object(database: Database) -> None:
    database.add(a_record(prompt_tokens=None), a_record())
    carry_over(database, 1, unfit_values='{"prompt_tokens":"\'many\'"}', timestamp_original=5)
    query = ExportQuery(format="jsonl", columns=choose("prompt_tokens,timestamp_original,unfit_values"))
    first, second = map(json.loads, file_of(database, query).splitlines())
    assert first == {"prompt_tokens": None, "timestamp_original": 5, "unfit_values": {"prompt_tokens": "'many'"}}
    assert second == {"prompt_tokens": 10, "timestamp_original": None, "unfit_values": None}
