"""``sessions`` on a real database."""

import json

import pytest

from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.analytics.database import a_row
from tests.cli.conftest import Cli, make_record, words

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def in_sessions(store: SqliteStore) -> None:
    run = {"session_id": "[red]a\x1b[2J", "app": "Codex", "user": "u1", "cached_tokens": 250}
    rows = [a_row(make_record(number, **run), cost_usd=0.25) for number in (10, 11, 40)]
    rows.append(a_row(make_record(12, **run, agent_id="sub", parent_agent_id="x", cache_miss_reason="tools_changed")))
    rows.append(a_row(make_record(13, session_id="small", total_tokens=5)))
    store.append(IngestBatch(rows=rows))


@pytest.mark.usefixtures("in_sessions")
def test_the_session_that_used_the_most_comes_first(cli: Cli) -> None:
    lines = [line.split() for line in cli("sessions", "list").out.splitlines()]
    heads = "session app user last request (UTC) lasted agents requests errors tokens cache hit cost USD"
    assert lines[0] == words(heads)
    assert lines[1] == words("[red]a�[2J Codex u1 2026-01-01 00:40:00 30 min 3 s 2 4 0 6,000 25.00% 0.7500")
    assert lines[2] == words("small - - 2026-01-01 00:13:00 3 s 1 1 0 5 - -")
    assert cli("sessions", "list", "--order", "total_tokens").out.splitlines()[1].startswith("small")
    assert cli("sessions", "list", "--app", "Codex", "--limit", "1").out.count("\n") == 2
    assert "There are more" in cli("sessions", "list", "--limit", "1").out


@pytest.mark.usefixtures("in_sessions")
def test_one_session_is_told_whole(cli: Cli) -> None:
    out = cli("sessions", "show", "[red]a\x1b[2J").out
    lines = [line.split() for line in out.splitlines()]
    assert words("Tokens 6,000 (4,000 in, 2,000 out)") in lines
    assert words("Cost 0.7500 USD (of 3 requests; of the others unknown)") in lines
    assert words("client, longer pauses 27 min 57 s 93.01%") in lines
    assert words("the session 4 0 6,000 1,000 0.7500 12 s") in lines
    assert words("sub 1 0 1,500 250 - 3 s") in lines
    assert words("tools_changed 1 750") in lines
    assert "\x1b" not in out


@pytest.mark.usefixtures("in_sessions")
def test_json_is_what_the_api_answers(cli: Cli) -> None:
    page = json.loads(cli("sessions", "list", "--json").out)
    assert [row["session_id"] for row in page["items"]] == ["[red]a\x1b[2J", "small"]
    found = json.loads(cli("sessions", "show", "small", "--json").out)
    assert (found["session"]["total_tokens"], len(found["requests"])) == (5, 1)


def test_where_no_client_names_one_it_says_how(cli: Cli) -> None:
    ran = cli("sessions", "list")
    assert (ran.code, "x-llm-metrics-session" in ran.out) == (0, True)
    assert json.loads(cli("sessions", "list", "--json").out)["items"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody"), "no record has the session_id 'nobody'; `sessions list` shows ids"),
        (("list", "--order", "size"), "there is no order of sessions 'size'"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--db-path", "nowhere.db"), "no database at"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    ran = cli("sessions", *arguments)
    assert ran.code != 0
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_the_table_fits_any_width(cli: Cli, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(IngestBatch(rows=[a_row(make_record(20, session_id="x" * 200, app="y" * 64, user="z" * 200))]))
    for width in (40, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        for arguments in (("list",), ("show", "x" * 200)):
            assert max(map(len, cli("sessions", *arguments).out.splitlines())) <= width
