"""``summary`` on a real database."""

import json

import pytest

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_row
from tests.cli.conftest import Cli, make_record, words

pytestmark = pytest.mark.usefixtures("store")


def test_counts_means_and_errors_say_how_many_records_they_rest_on(cli: Cli) -> None:
    lines = [line.split() for line in cli("summary").out.splitlines()]
    assert lines[0] == words("Requests 3 (3 streamed) succeeded 2 (66.67%)")
    assert words("time_to_first_token_ms ms 2 120 120 120 120") in lines
    assert words("response_time_ms ms 3 3,000 3,000 3,000 3,000") in lines
    assert words("prompt_tokens 2,000 2") in lines
    assert words("cached_tokens - 0") in lines
    assert ["upstream_error", "overloaded", "1"] in lines
    assert lines[-1] == words(f"Formulas of version {APP_VERSION}; records by version: {APP_VERSION} 3")


def test_words_of_other_programs_are_no_markup(cli: Cli, store: SqliteStore) -> None:
    odd = a_row(make_record(4, success=False, outcome="upstream_error", error_type="[red]over\x1b[2Jloaded"))
    store.append(IngestBatch(rows=[odd]))
    assert ["upstream_error", "[red]over�[2Jloaded", "1"] in [line.split() for line in cli("summary").out.splitlines()]


def test_cost_is_told_where_it_is_known(cli: Cli, store: SqliteStore) -> None:
    assert "USD" not in cli("summary").out
    assert json.loads(cli("summary", "--json").out)["cost_usd"] == {"n": 0, "sum": None}
    store.append(IngestBatch(rows=[a_row(make_record(number), cost_usd=0.25) for number in (4, 5)]))
    assert "Cost 0.500000 USD of 2 requests; what the others cost is not known" in cli("summary").out
    assert json.loads(cli("summary", "--json").out)["cost_usd"] == {"n": 2, "sum": 0.5}


def test_json_is_unrounded_and_missing_is_null(cli: Cli) -> None:
    document = json.loads(cli("summary", "--json").out)
    assert document["success_rate"] == 2 / 3
    assert document["tokens"]["cached_tokens"] == {"n": 0, "sum": None}
    assert document["distributions"]["connect_ms"]["mean"] is None


def test_a_range_without_records_has_no_success_rate(cli: Cli) -> None:
    assert cli("summary", "--since", "2026-06-01").out == "Requests 0 (0 streamed)   succeeded 0 (-)\n"
