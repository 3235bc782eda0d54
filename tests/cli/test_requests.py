"""``requests`` on a real database."""

import json
from itertools import islice

import pytest

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.arrivals import Arrivals
from llm_metrics_proxy.cli.requests import _COLUMNS, arriving
from llm_metrics_proxy.cli.tables import layout
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.metrics_service import to_row
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.cli.conftest import Cli, make_record, words

ALL_BUT_THE_MODEL = {column.title for column in _COLUMNS} - {"model"}

pytestmark = pytest.mark.usefixtures("store")


def test_the_newest_stands_first_and_missing_is_a_dash(cli: Cli) -> None:
    lines = cli("requests").out.splitlines()
    assert lines[0].split() == words("time (UTC) model origin status end TTFT ms total ms in tok out tok out tok/s")
    assert lines[1].split() == words("2026-01-01 00:03:00 llama editor 200 stop 120 3,000 1,000 500 200.0")
    assert lines[2].split()[2:5] == ["qwen", "[red]over�[2Jloaded", "503"]
    assert lines[2].split()[-5:] == ["-", "3,000", "-", "-", "-"]
    assert len(lines) == 4


def test_what_a_server_sent_is_neither_markup_nor_a_command_to_the_terminal(cli: Cli) -> None:
    out = cli("requests").out
    assert "[red]over�[2Jl" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("available", "dropped"),
    [
        (400, set()),
        (120, set()),
        (112, {"origin"}),
        (100, {"origin", "in tok"}),
        (90, {"origin", "in tok", "out tok/s"}),
        (80, {"origin", "in tok", "out tok/s", "TTFT ms"}),
        (40, {"origin", "in tok", "out tok/s", "TTFT ms", "out tok", "status", "time (UTC)"}),
        (20, ALL_BUT_THE_MODEL),
        (5, ALL_BUT_THE_MODEL),
    ],
)
def test_a_narrow_terminal_loses_columns_but_never_a_digit_and_the_name_last(available: int, dropped: set[str]) -> None:
    shown = layout(_COLUMNS, available)
    assert {column.title for column in _COLUMNS} - {column.title for column, _ in shown} == dropped
    assert sum(width for _, width in shown) + 2 * (len(shown) - 1) <= available
    assert all(width == column.width for column, width in shown if not column.is_text)


def test_json_is_one_whole_record_per_line(cli: Cli) -> None:
    records = [json.loads(line) for line in cli("requests", "--json", "--limit", "2").out.splitlines()]
    assert [record["arrival"] for record in records] == [3, 2]
    assert list(records[0]) == list(ALL_COLUMNS)
    assert records[1]["prompt_tokens"] is None


@pytest.mark.parametrize(
    ("flags", "ids"),
    [
        (["--model", "qwen"], [2]),
        (["--failed"], [2]),
        (["--succeeded"], [3, 1]),
        (["--origin", "editor"], [3]),
        (["--status", "503"], [2]),
        (["--not-streamed"], []),
        (["--since", "2026-01-01T00:02:00", "--until", "2026-01-01T00:03:00"], [2]),
    ],
)
def test_flags_choose_records(cli: Cli, flags: list[str], ids: list[int]) -> None:
    assert [json.loads(line)["arrival"] for line in cli("requests", "--json", *flags).out.splitlines()] == ids


def test_nothing_chosen_is_said(cli: Cli) -> None:
    assert cli("requests", "--model", "none").out.strip() == "No request is like that."


def test_bad_flags_are_one_line(cli: Cli) -> None:
    assert cli("requests", "--since", "x").err.startswith("llm-metrics-proxy: --since: 'x' is not an ISO 8601 date")
    assert cli("requests", "--limit", "0").code == 2
    assert cli("requests", "--status", "7").code == 2


def test_following_shows_what_is_stored_later_even_if_it_began_earlier(store: SqliteStore) -> None:
    reader = SqliteReader(store.path)
    records = open_records(reader)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        """Time passes: more records are stored."""
        pauses.append(seconds)
        store.append(IngestBatch(rows=[to_row(make_record(0)), to_row(make_record(5, model="qwen"))]))

    batches = list(islice(arriving(records, RequestFilter(), Arrivals.of_one_host(2), pause=pause), 2))
    assert [[record["arrival"] for record in batch] for batch in batches] == [[3], [4, 5]]
    only = next(arriving(records, RequestFilter(model="qwen"), Arrivals.of_one_host(2), pause=pause))
    assert [record["arrival"] for record in only] == [5]
    assert len(pauses) == 1
    reader.close()


def test_the_host_that_recorded_is_a_flag_of_another_name_than_the_address_to_listen_on(
    cli: Cli, store: SqliteStore
) -> None:
    other = SqliteStore(store.path, host="gpu-2")
    other.append(IngestBatch(rows=[to_row(make_record(7))]))
    other.close()
    (line,) = cli("requests", "--json", "--from-host", "gpu-2").out.splitlines()
    assert (json.loads(line)["host"], json.loads(line)["arrival"]) == ("gpu-2", 4)
    assert cli("requests", "--host", "gpu-2").code == 2
