"""What is asked when: no page more often than it makes sense, and a server in trouble less and less."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.servers.pages import PAGES, pages_at
from llm_metrics_proxy.servers.schedule import LONGEST_BACKOFF_S, RARELY_S, AskingSchedule, Heard

_BY_PATH = {page.path: page for page in PAGES}


def _paths(schedule: AskingSchedule, now: float) -> list[str]:
    return [page.path for page in schedule.due(now)]


def test_every_page_is_tried_until_the_server_is_known() -> None:
    schedule = AskingSchedule(PAGES, 5.0)
    assert _paths(schedule, 0.0) == [page.path for page in PAGES]
    schedule.heard(_BY_PATH["/metrics"], Heard.ABSENT, "", 0.1)
    schedule.heard(_BY_PATH["/api/ps"], Heard.TOLD, "Ollama", 0.2)
    assert _paths(schedule, 0.3) == []
    assert _paths(schedule, 5.2) == ["/api/ps"]


def test_an_absent_page_is_asked_again_rarely() -> None:
    schedule = AskingSchedule(PAGES, 5.0)
    for page in PAGES:
        schedule.heard(page, Heard.ABSENT, "", 0.0)
    assert _paths(schedule, RARELY_S - 10) == []
    assert _paths(schedule, RARELY_S) == [page.path for page in PAGES]


def test_a_server_that_does_not_answer_is_asked_one_question_at_growing_distances() -> None:
    schedule, now = AskingSchedule(PAGES, 5.0), 0.0
    asked: list[float] = []
    while now < 1000:
        if due := schedule.due(now):
            assert [page.path for page in due] == ["/metrics"] or not asked
            schedule.heard(due[0], Heard.BROKEN, "", now)
            asked.append(now)
        now += 1.0
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[:5] == [5, 10, 20, 40, 80]
    assert set(gaps[5:]) == {LONGEST_BACKOFF_S}


def test_a_server_that_is_back_is_asked_everything_anew() -> None:
    """It may have been started with other options, or be another one."""
    schedule = AskingSchedule(PAGES, 5.0)
    schedule.heard(_BY_PATH["/metrics"], Heard.ABSENT, "", 0.0)
    schedule.heard(_BY_PATH["/slots"], Heard.TOLD, "llama.cpp", 0.1)
    schedule.heard(_BY_PATH["/slots"], Heard.BROKEN, "", 5.0)
    assert schedule.is_silent
    assert _paths(schedule, 10.0) == ["/slots"]
    schedule.heard(_BY_PATH["/slots"], Heard.TOLD, "llama.cpp", 10.0)
    assert not schedule.is_silent
    assert "/metrics" in _paths(schedule, 10.5)


def test_a_page_that_the_settings_name_is_asked_first() -> None:
    assert pages_at("http://box:8002/metrics")[0].path == "http://box:8002/metrics"


def test_a_refusal_counts_only_while_nobody_tells_anything() -> None:
    schedule = AskingSchedule(PAGES, 5.0)
    schedule.heard(_BY_PATH["/metrics"], Heard.REFUSED, "", 0.0)
    assert schedule.wants_key
    schedule.heard(_BY_PATH["/api/ps"], Heard.TOLD, "Ollama", 0.0)
    assert not schedule.wants_key


@given(st.lists(st.tuples(st.sampled_from(list(Heard)), st.floats(0.1, 50)), max_size=60))
def test_a_page_that_was_asked_is_not_due_at_once(steps: list[tuple[Heard, float]]) -> None:
    """Whatever is heard of whichever page, in whichever order."""
    schedule, now = AskingSchedule(PAGES, 5.0), 0.0
    for outcome, pause in steps:
        now += pause
        for page in schedule.due(now)[:1]:
            program = min(page.programs, default="") if outcome is Heard.TOLD else ""
            schedule.heard(page, outcome, program, now)
            assert page.path not in _paths(schedule, now + 3.5)
