"""``errors`` on a real database."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from llm_metrics_proxy.metrics_service import APP_VERSION, to_row
from llm_metrics_proxy.storage.base import IngestBatch
from llm_metrics_proxy.storage.sqlite import SqliteStore
from llm_metrics_proxy.wire.error_types import TAXONOMY
from tests.analytics.database import a_row
from tests.cli.conftest import Cli, make_record, words


def an_error(number: int, category: str, kind: str, **facts: Any) -> tuple[Any, ...]:
    words = {
        "success": False,
        "outcome": "upstream_error",
        "error_type": kind,
        "error_message": "[red]so\x1b[2J",
        "backend": "h:1",
        **facts,
    }
    phase = "connect" if category == "network" else "before_first_token"
    return a_row(make_record(number, **words), error_category=category, error_phase=phase)


@pytest.fixture
def wrong(tmp_path: Path) -> SqliteStore:
    """Of eight requests three were limited, one was refused by the model, and the server was gone for one."""
    store = SqliteStore(tmp_path / "data" / "metrics.db")
    limited: Any = {"status_code": 429, "retry_after_ms": 2000.0}
    rows = [
        *(an_error(number, "limit", "rate_limit", **limited) for number in range(3)),
        an_error(4, "network", "connect_refused", status_code=502, model="qwen"),
        a_row(make_record(5, error_type="refusal"), error_category="policy"),
        *(a_row(make_record(number)) for number in range(6, 9)),
    ]
    store.append(IngestBatch(rows=rows))
    return store


@pytest.mark.usefixtures("wrong")
def test_types_stand_with_count_share_newest_and_what_to_do(cli: Cli) -> None:
    lines = cli("errors").out.splitlines()
    assert lines[0] == "Errors 5 of 8 requests (62.50%)"
    advice = {row.type: row.advice for row in TAXONOMY}
    shown = [line.split() for line in lines]
    for kind, count, share, newest in (
        ("limit rate_limit", "3", "37.50%", "2026-01-01 00:02:00"),
        ("network connect_refused", "1", "12.50%", "2026-01-01 00:04:00"),
        ("policy refusal", "1", "12.50%", "2026-01-01 00:05:00"),
    ):
        assert words(f"{kind} {count} {share} {newest} {advice[kind.split()[1]]}") in shown
    assert words("connect 1 12.50%") in shown
    assert words("llama 4 7 57.14%") in shown
    assert words("qwen 1 1 100.00%") in shown
    assert words("h:1 4 4 100.00%") in shown
    (wait,) = [line for line in lines if "Retry-After" in line]
    assert wait.split()[:4] == words("h:1 llama 2026-01-01 00:02:05.000Z")
    assert "Wait 2 s, as the newest Retry-After says; 3 of 3 limited answers" in wait


@pytest.mark.usefixtures("wrong")
def test_in_a_narrow_terminal_nothing_is_cut_from_what_to_do(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_metrics_proxy.cli.errors.console", lambda: Console(width=80, highlight=False))
    out = cli("errors").out
    assert all(len(line) <= 80 for line in out.splitlines()[2:])
    for row in TAXONOMY:
        if row.type in ("rate_limit", "connect_refused", "refusal"):
            assert set(row.advice.split()) <= set(out.split())


@pytest.mark.usefixtures("wrong")
def test_examples_are_shown_on_demand_and_are_no_markup(cli: Cli) -> None:
    assert "[red]so" not in cli("errors").out
    out = cli("errors", "--examples", "2").out
    assert words("4 2026-01-01 00:04:00 qwen 502 connect_refused [red]so�[2J") in [
        line.split() for line in out.splitlines()
    ]
    assert "\x1b" not in out
    assert cli("errors", "--examples", "101").code == 2


@pytest.mark.usefixtures("wrong")
@pytest.mark.parametrize(
    ("flags", "n"),
    [
        (["--model", "qwen"], 1),
        (["--error-category", "limit"], 3),
        (["--error-type", "refusal"], 1),
        (["--error-phase", "connect"], 1),
        (["--outcome", "completed"], 1),
        (["--since", "2026-01-01T00:04:00"], 2),
    ],
)
def test_flags_choose_records_and_json_is_whole(cli: Cli, flags: list[str], n: int) -> None:
    document = json.loads(cli("errors", "--json", *flags).out)
    assert (document["errors"], document["app_version"]) == (n, APP_VERSION)
    assert sum(one["n"] for one in document["types"]) == n


@pytest.mark.usefixtures("wrong")
def test_a_word_that_there_is_not_is_refused_with_those_that_there_are(cli: Cli) -> None:
    ran = cli("errors", "--error-category", "limits")
    assert ran.code == 2
    assert "there is no error_category 'limits'; there are: " in ran.err
    assert "limit" in ran.err


@pytest.mark.usefixtures("wrong")
def test_the_list_of_requests_takes_the_same_flags_and_shows_the_type(cli: Cli) -> None:
    (heading, line) = cli("requests", "--error-type", "refusal").out.splitlines()
    assert "end" in heading
    assert "refusal" in line.split()
    assert len(cli("requests", "--error-category", "limit").out.splitlines()) == 4


def test_nothing_wrong_is_one_line_and_no_table(cli: Cli, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data" / "metrics.db")
    assert cli("errors").out == "Errors 0 of 0 requests (-)\n"
    store.append(IngestBatch(rows=[to_row(make_record(1))]))
    assert cli("errors").out.splitlines()[0] == "Errors 0 of 1 requests (0.00%)"
    store.close()


def test_older_records_are_said_to_be_unclassified(cli: Cli, tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "data" / "metrics.db")
    failed = make_record(1, success=False, outcome="rejected", error_type="quota")
    store.append(IngestBatch(rows=[a_row(failed, app_version="1.0.0")]))
    lines = cli("errors").out.splitlines()
    assert lines[0] == "Errors 0 of 1 requests (0.00%)"
    assert lines[-1].startswith("1 more failed and are not classified yet: records of older versions.")
    store.close()
