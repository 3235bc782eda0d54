"""What a worker reports of itself: well until records are lost or clients are turned away."""

import errno

from llm_metrics_proxy.proxy.health import report
from llm_metrics_proxy.scoreboard import Scoreboard
from tests.proxy.desk import Desk


def test_all_is_well_until_a_worker_is_in_trouble() -> None:
    desk, board = Desk(learns=False), Scoreboard.create()
    for index in range(2):
        board.slot(index).set("pid", 40 + index)
    desk.pool.last_error = None  # type: ignore[attr-defined]
    well = report(desk.context, board.workers(), 0, 10**12)
    assert (well["status"], well["reasons"], well["records_dropped"], well["draining"]) == ("ok", [], 0, False)
    assert (well["backend"], well["backend_error"], well["backends"]) == ("server:1", None, [])
    assert [(worker["worker"], worker["pid"]) for worker in well["workers"]] == [(0, 40), (1, 41)]

    board.slot(1).set("records_dropped", 3)
    board.slot(0).set("journal_errno", errno.ENOSPC)
    board.slot(0).set("connections_refused", 1)
    board.slot(0).set("connections_refused_unix_ms", 10**12 - 1)
    ill = report(desk.context, board.workers(), 0, 10**12)
    assert (ill["status"], ill["records_dropped"]) == ("degraded", 3)
    full, lost, turned_away = ill["reasons"]
    assert full == "the journal cannot be written by worker 0: No space left on device"
    assert lost == "3 requests were served without a record since the start"
    assert turned_away.startswith("worker 0 turned connections away")
