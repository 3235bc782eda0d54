"""What servers reported is kept so that a later version can count it again: a made-up next one does, and is undone.

It knows one member more: ``tool_tokens``, which a server leaves out of the prompt.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from semver import Version

from llm_metrics_proxy.analytics.rows import columns_there, whole_table
from llm_metrics_proxy.metrics_service import APP_VERSION, settle, to_row
from llm_metrics_proxy.migration import engine
from llm_metrics_proxy.migration.model import ColumnChange, Ended, Migration
from llm_metrics_proxy.migration.planner import plan
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from llm_metrics_proxy.storage.base import IngestBatch, SqlValue
from llm_metrics_proxy.storage.sqlite import SqliteReader, SqliteStore
from tests.migration.databases import content, execute, options

NEXT: Final = f"{Version.parse(APP_VERSION).major + 1}.0.0"
SHOWN: Final = "SELECT prompt_tokens, total_tokens, tokens_per_second, usage_reported FROM {} ORDER BY id"


def next_tokens_from(usage_reported: SqlValue) -> tuple[int, int] | None:
    """Prompt and total as they would be in that version's program; None for a record without a report."""
    if not isinstance(usage_reported, str):
        return None
    usage = json.loads(usage_reported)["usage"]
    prompt = usage["prompt_tokens"] + usage.get("tool_tokens", 0)
    return prompt, prompt + usage["completion_tokens"]


def to_next() -> Migration:
    def oracle(reported: SqlValue, prompt: SqlValue, total: SqlValue, duration_ms: SqlValue) -> tuple[SqlValue, ...]:
        prompt, total = next_tokens_from(reported) or (prompt, total)  # what was counted before it was kept stays
        rate = total * 1000.0 / duration_ms if isinstance(total, int) and isinstance(duration_ms, float) else None
        return prompt, total, rate, None

    prompt = (
        "json_extract(usage_reported, '$.usage.prompt_tokens') + "
        "coalesce(json_extract(usage_reported, '$.usage.tool_tokens'), 0)"
    )
    total = f"coalesce({prompt} + json_extract(usage_reported, '$.usage.completion_tokens'), total_tokens)"
    return Migration(
        version=NEXT,
        summary="Tokens of tools are part of the prompt.",
        changes=(
            ColumnChange("prompt_tokens", f"coalesce({prompt}, prompt_tokens)"),
            ColumnChange("total_tokens", total),
            ColumnChange("tokens_per_second", f"({total}) * 1000.0 / response_time_ms"),
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
            outcome="completed", success=True, usage_reported=report(number),
            prompt_tokens=5000, total_tokens=6000,  # of a worker that counted itself, where nothing is reported
        )
        for number in range(300)
    ]  # fmt: skip
    for record in records:
        settle(record)
    store.append(IngestBatch(rows=[to_row(record) for record in records]))
    store.close()
    return tmp_path / "metrics.db"


def read(path: Path) -> list[tuple[Any, ...]]:
    reader = SqliteReader(path)
    found = reader.query(SHOWN.format(whole_table(columns_there(reader))))
    reader.close()
    return found


def test_a_later_version_counts_again_from_what_was_reported_and_is_undone_exactly(recorded: Path) -> None:
    before = content(recorded)
    migrations = (*MIGRATIONS, to_next())
    result = engine.migrate(recorded, options(recorded), migrations=migrations, app_version=NEXT)
    assert result.ended is Ended.DONE, result
    for number, (prompt, total, rate, reported) in enumerate(read(recorded)):
        assert reported == report(number), "what was reported stays as it was"
        if reported is None:
            assert (prompt, total) == (5000, 6000), "nothing to count again from"
        else:
            more = number if number % 3 == 0 else 0
            assert (prompt, total) == (100 + number + more, 107 + number + more)
        assert rate == total * 1000 / (1000.0 + number)
    assert execute(recorded, "SELECT DISTINCT app_version FROM completion_requests") == [(NEXT,)]
    assert engine.verify(recorded, migrations=migrations) == ()
    assert engine.undo(recorded, options(recorded), migrations=migrations, app_version=NEXT).ended is Ended.UNDONE
    assert content(recorded) == before


def test_its_plan_shows_the_new_counts_on_a_sample(recorded: Path) -> None:
    stored = execute(recorded, "SELECT count(*) FROM completion_requests WHERE usage_reported LIKE '~%'")
    assert stored[0][0] > 250, "shortened, so that the sample must know the shapes too"
    planned = plan(recorded, backup_dir=recorded.parent, migrations=(*MIGRATIONS, to_next()), app_version=NEXT)
    assert planned.sample_records == 300
    assert planned.faults == ()
    [change] = planned.metrics
    before, after = change.overall.before.mean, change.overall.after.mean
    assert before is not None
    assert after is not None
    assert after > before
