import threading
from typing import Any

import pytest

from llm_metrics_proxy.api.kept_answers import KEPT_FOR_ITS_COST, KEPT_S, MAX_AGE_S, KeptAnswer, KeptAnswers, max_age_s
from tests.analytics.database import Database, a_record
from tests.api.service import client

PATIENCE_S = 30


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("header", "age_s"),
    [
        ("", 0),
        ("no-cache", 0),
        ("max-age=0", 0),
        ("max-age=5", 5),
        ("no-transform, Max-Age=7", 7),
        ("max-age=100000", MAX_AGE_S),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("x-max-age=5", 0),
    ],
)
def test_the_header_says_how_old_an_answer_may_be(header: str, age_s: int) -> None:
    assert max_age_s(header) == age_s


def test_an_answer_is_made_once_for_all_who_take_one_of_its_age() -> None:
    clock, made = Clock(), list[int]()

    def make() -> bytes:
        made.append(1)
        return b"%d" % len(made)

    kept = KeptAnswers(clock)
    assert kept.get("a", 5, make) == KeptAnswer(b"1", 0)
    clock.now_s += 4
    assert kept.get("a", 5, make) == KeptAnswer(b"1", 4)
    assert kept.get("a", 4, make) == KeptAnswer(b"2", 0)  # too old for this one
    assert kept.get("b", 5, make) == KeptAnswer(b"3", 0)
    assert kept.get("a", 0, make) == KeptAnswer(b"4", 0)  # who takes none that is older gets one of now
    assert kept.get("a", 5, make) == KeptAnswer(b"2", 0)  # which was not kept


def test_what_cost_much_is_kept_for_longer_within_what_a_reader_takes() -> None:
    clock, spent, made = Clock(), Clock(), list[float]()

    def make() -> bytes:
        spent.now_s += made[-1]
        return b"%d" % len(made)

    def asked(cost_s: float, age_s: int = MAX_AGE_S) -> KeptAnswer:
        made.append(cost_s)
        return kept.get("a", age_s, make)

    kept = KeptAnswers(clock, spent_s=spent)
    assert asked(0.01) == KeptAnswer(b"1", 0)
    clock.now_s += KEPT_S
    assert asked(2.0) == KeptAnswer(b"2", 0)  # the first was cheap
    clock.now_s += 2 * KEPT_FOR_ITS_COST - 1
    assert asked(2.0) == KeptAnswer(b"2", 2 * KEPT_FOR_ITS_COST - 1)
    assert asked(2.0, age_s=100) == KeptAnswer(b"4", 0)  # of one reader it is too old


def test_an_answer_until_now_is_as_good_a_little_later() -> None:
    clock = Clock()
    kept, made = KeptAnswers(clock), list[int]()

    def asked(start_s: float) -> bytes:
        made.append(1)
        return kept.get("since", 30, lambda: b"%d" % len(made), start_s).body

    assert [asked(1000), asked(1020), asked(1031), asked(1000)] == [b"1", b"1", b"3", b"4"]


def test_the_route_of_what_changed_keeps_an_answer_for_the_same_length_until_now(database: Database) -> None:
    database.add(a_record(1))
    http, older = client(database), {"Cache-Control": "max-age=60"}

    def asked(start: str, more: str = "") -> dict[str, Any]:
        found: dict[str, Any] = http.get(f"/api/v1/changes?start={start}{more}", headers=older).json()
        return found

    first = asked("2026-03-01T11:30:00Z")
    database.add(a_record(2))
    assert asked("2026-03-01T11:30:20Z") == first  # which says what it is about
    assert asked("2026-03-01T11:30:20Z", "&model=a") != first
    assert asked("2026-03-01T11:32:00Z")["requests"] == 2
    assert asked("2026-03-01T11:30:20Z", "&end=2026-03-02T00:00:00Z")["requests"] == 2


def test_who_asks_while_an_answer_is_being_made_waits_for_it() -> None:
    kept, begun, go_on = KeptAnswers(), threading.Event(), threading.Event()
    made, found = list[int](), list[bytes]()

    def make() -> bytes:
        made.append(1)
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return b"slow"

    threads = [
        threading.Thread(target=lambda: found.append(kept.get("a", MAX_AGE_S, make).body)) for _asker in range(5)
    ]
    threads[0].start()
    assert begun.wait(PATIENCE_S)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (found, made) == ([b"slow"] * 5, [1])


def test_a_failure_is_told_and_not_kept() -> None:
    kept = KeptAnswers()

    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        kept.get("a", 5, fail)
    assert kept.get("a", 5, lambda: b"yes").body == b"yes"


def test_what_is_kept_has_a_bound() -> None:
    kept, made = KeptAnswers(Clock(), most_bytes=25), list[str]()

    def asking(key: str, size: int = 10) -> None:
        def make() -> bytes:
            made.append(key)
            return b"x" * size

        assert len(kept.get(key, 5, make).body) == size

    for key in ("a", "b", "c"):
        asking(key)
    asking("b")
    asking("c")
    assert made == ["a", "b", "c"]
    asking("a")  # was let go for c
    asking("large", 30)
    asking("large", 30)  # more than there is room for
    assert made == ["a", "b", "c", "a", "large", "large"]
    asking("b")  # gone for it, as all were
    asking("b")
    assert made[-2:] == ["large", "b"]


def test_the_route_keeps_answers_only_for_who_says_so(database: Database) -> None:
    database.add(a_record(1))
    http, older = client(database), {"Cache-Control": "max-age=60"}
    first = http.get("/api/v1/query?metrics=requests", headers=older)
    assert (first.json()["records"], first.headers["Age"]) == (1, "0")
    database.add(a_record(2))
    again = http.get("/api/v1/query?metrics=requests", headers=older)
    assert again.json()["records"] == 1
    now = http.get("/api/v1/query?metrics=requests")
    assert (now.json()["records"], now.headers.get("Age")) == (2, None)
    assert http.get("/api/v1/query?metrics=requests&limit=5", headers=older).json()["records"] == 2
    assert http.get("/api/v1/query?metrics=nothing", headers=older).status_code == 422
