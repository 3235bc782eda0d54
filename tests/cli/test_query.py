"""``query`` on a real database."""

import json
import re
from datetime import UTC, datetime

import msgspec
import pytest

from llm_metrics_proxy.analytics import Query, ask
from llm_metrics_proxy.cli.query import bars, print_result
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import APP_VERSION, to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.cli.conftest import Cli, make_record, words

pytestmark = pytest.mark.usefixtures("store")
JANUARY = ("--since", "2026-01-01", "--until", "2026-01-01T00:04")


def test_without_flags_it_shows_the_everyday_numbers_of_all_records(cli: Cli) -> None:
    lines = [line.split() for line in cli("query", *JANUARY).out.splitlines()]
    assert lines[0] == words("Requests 3 2026-01-01 00:00:00 to 2026-01-01 00:04:00 (UTC)")
    assert words("3 66.67% 3,000 3,000 3,000 (67%)") in lines  # two of three reported tokens
    assert lines[-1] == words(f"Formulas of version {APP_VERSION}")


def test_groups_come_largest_first_and_the_rest_is_one_row(cli: Cli) -> None:
    out = cli("query", *JANUARY, "--by", "model", "--metrics", "requests", "--metrics", "success_rate,total_tokens.max")
    lines = [line.split() for line in out.out.splitlines()]
    first, second = lines.index(words("llama 2 100.00% 1,500")), lines.index(words("qwen 1 0.00% -"))
    assert first < second
    limited = cli("query", *JANUARY, "--by", "model", "--metrics", "requests", "--limit", "1").out
    assert words("(1 other) 1") in [line.split() for line in limited.splitlines()]


def test_over_time_there_is_a_line_of_bars_and_buckets_of_nothing_too(cli: Cli) -> None:
    flags = ("--by", "time", "--bucket", "minute", "--metrics", "requests,response_time_ms.p50")
    lines = cli("query", *JANUARY, *flags, "--timezone", "Asia/Kathmandu").out.splitlines()
    assert lines[1].split() == words("requests ▁███ 0 to 1")
    rows = [line.split() for line in lines]
    assert words("2026-01-01 05:45 +0545 0 -") in rows
    assert words("2026-01-01 05:46 +0545 1 3,000") in rows


def test_comparing_shows_the_period_before_and_the_change(cli: Cli) -> None:
    flags = ("--since", "2026-01-01T00:02", "--until", "2026-01-01T00:04", "--metrics", "requests,success_rate")
    rows = [line.split() for line in cli("query", *flags, "--compare").out.splitlines()]
    assert words("2 1 +100.0% 50.00% 100.00% -50.0%") in rows


def test_what_the_retention_deleted_is_told_where_roll_ups_cannot_help(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = SqliteReader(store.path)
    whole = ask(open_records(reader).sources(), Query(), datetime(2026, 1, 2, tzinfo=UTC))
    reader.close()
    print_result(whole)
    assert "Incomplete" not in capsys.readouterr().out
    print_result(msgspec.structs.replace(whole, pruned_before=datetime(2026, 1, 1, tzinfo=UTC)))
    assert "Incomplete: most records from before 2026-01-01 UTC were deleted" in capsys.readouterr().out


def test_json_has_every_number_with_what_it_rests_on(cli: Cli) -> None:
    document = json.loads(cli("query", *JANUARY, "--metrics", "total_tokens", "--json").out)
    assert document["rows"][0]["values"] == {"total_tokens": {"value": 3000, "n": 2, "coverage": 2 / 3}}
    assert document["app_version"] == APP_VERSION


def test_flags_that_make_no_sense_are_told_in_one_line(cli: Cli) -> None:
    for flags, complaint in (
        (("--metrics", "goodput"), "goodput needs an SLO, such as slo=time_to_first_token_ms<500"),
        (("--by", "modle"), "there is no dimension 'modle'; did you mean model?"),
        (("--metrics", "response_time_ms"), "response_time_ms needs a statistic, such as response_time_ms.mean"),
        (("--compare",), "to compare with the period before, say when this one starts"),
        (("--slo", "nonsense"), "'nonsense' is not an SLO"),
        (("--timezone", "../etc/passwd"), "there is no time zone '../etc/passwd'"),
    ):
        ran = cli("query", *flags)
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.startswith(f"llm-metrics-proxy: {complaint}")
        assert len(ran.err.splitlines()) == 1


def test_words_of_other_programs_are_no_markup(cli: Cli, store: SqliteStore) -> None:
    store.append(
        IngestBatch(rows=[to_row(make_record(4, timestamp="2026-01-01T00:00:30.000000Z", model="[red]a\x1b[2J"))])
    )
    rows = [line.split() for line in cli("query", *JANUARY, "--by", "model", "--metrics", "requests").out.splitlines()]
    assert ["[red]a�[2J", "1"] in rows


def test_a_range_without_records_has_a_row_of_dashes(cli: Cli) -> None:
    lines = cli("query", "--since", "2026-06-01", "--until", "2026-06-02").out.splitlines()
    assert words("0 - - - -") in [line.split() for line in lines]


def test_a_database_of_another_place_is_named(cli: Cli) -> None:
    assert "no database at nowhere.db" in cli("query", "--db-path", "nowhere.db").err


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 10, ""),
        ([None, 0, None], 10, " ▁ "),
        ([0, 1, 2, 4, 8], 10, "▁▂▃▅█"),
        ([1, 8, None, None, 0, 4], 3, "█ ▅"),  # the largest of each two
        ([-1.0, 1.0], 10, "▁█"),
    ],
)
def test_bars_are_as_high_as_their_values(values: list[float | None], width: int, drawn: str) -> None:
    assert bars(values, width) == drawn


def test_explaining_shows_where_the_answer_came_from_and_each_statement_with_its_plan(cli: Cli) -> None:
    ran = cli("query", *JANUARY, "--by", "model", "--metrics", "requests", "--explain")
    assert "Answered not from roll-ups: " in ran.out
    assert "Answered from records: every one of the range\n" in ran.out
    statements = re.findall(r"^\d+\. \d+\.\d ms, [\d,]+ rows\n   (.+)\n((?:     .+\n)+)", ran.out, re.MULTILINE)
    assert any("GROUP BY" in sql and "completion_requests" in plan for sql, plan in statements)
    [*_, lines] = [plan.splitlines() for sql, plan in statements if "GROUP BY" in sql]
    assert len({len(line) - len(line.lstrip()) for line in lines}) > 1  # nested as SQLite nests it
    assert "2026-01-01" not in "".join(sql for sql, _ in statements)


def test_the_explanation_is_in_the_json_too_if_it_is_wanted(cli: Cli) -> None:
    told = json.loads(cli("query", *JANUARY, "--explain", "--json").out)
    assert told["explanation"]["sources"][-1] == "from records: every one of the range"
    assert all(each["plan"] and each["ms"] >= 0 for each in told["explanation"]["statements"])
    assert "explanation" not in json.loads(cli("query", *JANUARY, "--json").out)


def test_with_debug_a_verb_logs_its_statements_and_their_plans(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_METRICS_PROXY_LOG_LEVEL", "debug")
    err = cli("query", *JANUARY).err
    assert re.search(r" debug query: sql: \d+\.\d ms, \d+ rows: WITH ", err)
    assert " debug query: plan: " in err
