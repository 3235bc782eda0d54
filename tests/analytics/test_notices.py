"""Which notices people get of runs in place and of runs by copy."""

from typing import Any

import pytest

from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.migrations import MigrationRun, run_of
from llm_metrics_proxy.analytics.notices import notices

STORED: dict[str, Any] = {
    "id": 1, "state": "done", "from_versions": {"4.5.0": 7}, "to_version": "5.0.0", "checksums": {"5.0.0": "x"},
    "app_version": "5.0.0", "old_table": "completion_requests_before_5_0_0", "records_total": 7, "records_changed": 7,
    "gaps": {}, "unfit": {}, "backup": "m.db", "started_at": "2026-11-29T10:00:00.000000Z",
    "finished_at": "2026-11-29T10:00:01.000000Z", "busy_ms": 1.0, "largest_lock_ms": 1.0, "error": None,
    "dismissed_at": None,
}  # fmt: skip
LACKING = History(carried=3, records=7, share=3 / 7, complete_from=None, stopped=None, text="3 of 7 are in the answers")


def a_run(undo_days: int = 30, **changes: Any) -> MigrationRun:
    return run_of({**STORED, **changes}, [], undo_days=undo_days)


@pytest.mark.parametrize(("state", "told"), [("done", []), ("undone", ["undone"]), ("rolled_back", ["rolled_back"])])
def test_a_run_of_4_x_that_stands_has_no_notice_for_it_cannot_be_undone_here(state: str, told: list[str]) -> None:
    run = a_run(app_version="4.5.0", state=state, old_table=None)
    assert run.in_place
    assert [notice.kind for notice in notices([run])] == told


def test_an_unfinished_run_of_4_x_is_not_gone_on_with() -> None:
    assert [notice.kind for notice in notices([a_run(app_version="4.5.0", state="migrating")])] == []


def test_the_way_back_is_said_for_as_long_as_there_is_one() -> None:
    for run, words in (
        (a_run(), "stays until 2026-12-29, as completion_requests_before_5_0_0; `llm-metrics-proxy migrate undo`"),
        (a_run(undo_days=0), "stays until `llm-metrics-proxy migrate forget`, as completion_requests_before_5_0_0"),
        (a_run(old_table=None), "is gone; the backup m.db has the records"),
        (a_run(old_table=None, backup=None), "is gone; there is no way back"),
    ):
        (notice,) = notices([run])
        assert words in notice.to_do


def test_a_run_under_way_says_what_the_answers_lack() -> None:
    (notice,) = notices([a_run(state="migrating", finished_at=None)], history=LACKING, running=True)
    assert (notice.text, notice.attention) == (["3 of 7 are in the answers"], False)


def test_after_a_run_that_failed_it_is_said_what_is_missing_why_and_what_to_run() -> None:
    (notice,) = notices([a_run(state="rolled_back", error="oracle: record 5: 1 is not 2")], problem="told by the run")
    assert notice.attention
    assert notice.text[0] == "7 older records are not in the answers; they are unchanged in the database."
    assert "record 5" in notice.text[-1]
    assert "migrate run" in notice.to_do
    assert "migrate undo" in notice.to_do
