"""What servers reported is kept so that a later version can count it again: 5.0.0 does, and a made-up next one."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from semver import Version

from llm_metrics_proxy.metrics_service import APP_VERSION, settle, to_row
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.counts import COUNTS
from llm_metrics_proxy.migration.formula import coalesce, column, member, whole
from llm_metrics_proxy.migration.model import ColumnChange, Ended, Migration
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.migration.carrying import carried
from tests.migration.databases import execute, options

NEXT: Final = f"{Version.parse(APP_VERSION).major + 1}.0.0"


def to_next() -> Migration:
    """It knows one member more: ``tool_tokens``, which a server leaves out of the prompt."""

    def oracle(reported: SqlValue, prompt: SqlValue, total: SqlValue, duration_ms: SqlValue) -> tuple[SqlValue, ...]:
        if isinstance(reported, str):  # what was counted before it was kept stays
            usage = json.loads(reported)["usage"]
            prompt = usage["prompt_tokens"] + usage.get("tool_tokens", 0)
            total = prompt + usage["completion_tokens"]
        rate = total * 1000.0 / duration_ms if isinstance(total, int) and isinstance(duration_ms, float) else None
        return prompt, total, rate, None

    prompt = whole(member("usage", "prompt_tokens") + coalesce(member("usage", "tool_tokens"), 0))
    total = coalesce(whole(prompt + member("usage", "completion_tokens")), column("total_tokens"))
    return Migration(
        version=NEXT,
        summary="Tokens of tools are part of the prompt.",
        changes=(
            ColumnChange("prompt_tokens", coalesce(prompt, column("prompt_tokens"))),
            ColumnChange("total_tokens", total),
            ColumnChange("tokens_per_second", total * 1000 / column("response_time_ms")),
        ),
        gaps=(),
        inputs=("usage_reported", "prompt_tokens", "total_tokens", "response_time_ms"),
        oracle=oracle,
        repeatable=True,
    )


def report(number: int) -> str | None:
    """Some have the member, some have none, some no report at all; one is of a shape that never comes again."""
    usage: dict[str, Any] = {"prompt_tokens": 100 + number, "completion_tokens": 7}
    if number % 3 == 0:
        usage["tool_tokens"] = number
    if number == 12:
        usage["of_no_other"] = 1
    return None if number % 10 == 9 else json.dumps({"usage": usage}, separators=(",", ":"))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A database as this version leaves it."""
    store = SqliteStore(tmp_path / "metrics.db")
    records = [
        RequestRecord(
            request_id=f"{number:032x}", timestamp=f"2026-01-01T00:00:00.{number:06d}Z", method="POST",
            endpoint="/v1/chat/completions", dialect="openai_chat", response_time_ms=1000.0 + number,
            outcome="completed", success=True, usage_reported=report(number), is_streaming=True, content_chunks=7,
            time_to_first_token_ms=100.0, time_to_last_token_ms=900.0,
            prompt_tokens=5000, total_tokens=6000,  # of a worker that counted itself, where nothing is reported
        )
        for number in range(300)
    ]  # fmt: skip
    for record in records:
        settle(record)
    store.append(IngestBatch(rows=[to_row(record) for record in records]))
    store.close()
    return tmp_path / "metrics.db"


def whole_reports(connection: Any) -> list[Any]:
    shown = "report_text(usage_reported)"
    return [text for (text,) in connection.execute(f"SELECT {shown} FROM completion_requests ORDER BY arrival")]


def test_a_later_version_counts_again_from_what_was_reported(recorded: Path) -> None:
    migrations = (*MIGRATIONS, to_next())
    with carried(recorded, chain=migrations, app_version=NEXT, distrusts=False, key="arrival") as now:
        assert now.faults() == []
        rows = list(now.rows().values())
        assert whole_reports(now.connection) == [report(number) for number in range(300)]
    for number, row in enumerate(rows):
        prompt, total = 5000, 6000  # nothing to count again from
        if report(number) is not None:
            more = number if number % 3 == 0 else 0
            prompt, total = 100 + number + more, 107 + number + more
        assert (row["prompt_tokens"], row["total_tokens"]) == (prompt, total)
        assert row["tokens_per_second"] == total * 1000 / (1000.0 + number)
        assert row["app_version"] == NEXT


def as_of_4_5_0(path: Path) -> None:
    execute(path, "UPDATE completion_requests SET app_version = '4.5.0'")


def test_5_0_0_changes_nothing_that_was_counted_right(recorded: Path) -> None:
    as_of_4_5_0(recorded)
    with carried(recorded, distrusts=False, key="arrival") as now:
        assert now.fitted
        assert now.faults() == []
        before = list(now.connection.execute(f"SELECT {', '.join(COUNTS)} FROM completion_requests_before"))
        assert list(now.connection.execute(f"SELECT {', '.join(COUNTS)} FROM completion_requests")) == before
        assert {row["app_version"] for row in now.rows().values()} == {"5.0.0"}


def test_5_0_0_corrects_what_was_counted_wrong_and_what_rests_on_it(recorded: Path) -> None:
    execute(recorded, "UPDATE completion_requests SET completion_tokens = 1, total_tokens = 1, tokens_per_second = 5, "
            "output_tokens_per_second = NULL, upstream_cost_usd = 3, usage_rejected = 1")  # fmt: skip
    execute(recorded, "UPDATE completion_requests SET usage_source = 'repeated' WHERE arrival = 3")
    execute(recorded, "UPDATE completion_requests SET dialect = 'openai_chat_unknown' WHERE arrival = 4")
    as_of_4_5_0(recorded)
    with carried(recorded, distrusts=False, key="arrival") as now:
        assert now.faults() == []
        rows = now.rows()
        now.connection.execute("UPDATE completion_requests SET total_tokens = 1 WHERE arrival = 2")
        assert [fault.record_id for fault in now.faults()] == [2]
    names = ("completion_tokens", "total_tokens", "tokens_per_second", "time_per_output_token_ms",
             "output_tokens_per_second", "upstream_cost_usd", "usage_rejected", "usage_source")  # fmt: skip
    assert [rows[1][name] for name in names] == [7, 107, 107.0, 800 / 6, 7.5, None, 0, "reported"]
    assert rows[3]["usage_source"] == "repeated"
    assert rows[4]["total_tokens"] == 1, "this program cannot read it"
    assert rows[10]["total_tokens"] == 1, "nothing is reported"


def test_the_engine_takes_a_table_of_ours_to_the_next_version_and_back(recorded: Path) -> None:
    migrations = (*MIGRATIONS, to_next())
    before = execute(recorded, "SELECT * FROM completion_requests ORDER BY arrival")
    result = engine.migrate(recorded, options(recorded), migrations=migrations, app_version=NEXT)
    assert (result.ended, result.faults) == (Ended.DONE, ()), result
    assert execute(recorded, "SELECT DISTINCT app_version FROM completion_requests") == [(NEXT,)]
    assert execute(recorded, "SELECT total_tokens FROM completion_requests WHERE arrival = 4") == [(113,)]
    assert engine.verify(recorded, migrations=migrations, app_version=NEXT) == ()
    undone = engine.undo(recorded, options(recorded), migrations=migrations, app_version=NEXT)
    assert undone.ended is Ended.UNDONE
    assert execute(recorded, "SELECT * FROM completion_requests ORDER BY arrival") == before
