"""Tokens that see some records only: whatever they ask, and wherever, nothing of others comes back."""

import asyncio
import logging
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.scope import ReadToken, ScopedRecords
from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.api.application import scoped_application
from llm_metrics_proxy.api.scoped import HARMLESS, REFUSED, SCOPED, scoped_ports
from llm_metrics_proxy.api.session import Sessions
from llm_metrics_proxy.api.site import VIEW_PATHS
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.watch.budgets import BudgetReport, BudgetStanding, unmeasured
from llm_metrics_proxy.watch.rules import About
from tests.analytics.database import Database, a_record, a_row
from tests.api.service import NOW_UNIX_S, ports
from tests.counting import count
from tests.quotas.test_book import CODEX, NOW, said
from tests.watch.test_budget_states import a_budget

WHOLE = "the-token-that-sees-everything"
ANNA = "the-token-of-anna-0123456789"
SECRET = "ben-secret"  # a word in every text of records that are not Anna's


def a_token(text: str = ANNA, **conditions: tuple[str, ...]) -> ReadToken:
    chosen = conditions or {"user": ("anna",)}
    return ReadToken(
        name="anna",
        sha256=sha256(text.encode()).hexdigest(),
        conditions=tuple(Condition(name, "=", values) for name, values in chosen.items()),
    )


def an_id(number: int) -> str:
    return f"{number:032x}"


def fill(database: Database) -> None:
    for number in range(6):
        mine = number % 3 == 0
        who = "anna" if mine else SECRET
        good = number % 2 == 0
        record = a_record(
            number,
            request_id=an_id(number),
            user=who,
            app=f"app of {who}",
            model=f"model of {who}",
            api_key_id="0" * 12 if mine else SECRET,
            session_id=f"session of {who}",
            success=good,
            error_type=None if good else "internal",
            error_message=f"words of {who}",
            tags=f"team={who},x=y",
        )
        database.append([a_row(record, error_category=None if good else "upstream")])


class Service:
    def __init__(self, database: Database, *tokens: ReadToken, **changes: Any) -> None:
        fill(database)
        self.sessions = Sessions(WHOLE, tokens or (a_token(),))
        self.app = create_app(ports(database, sessions=self.sessions, **changes))

    def client(self, token: str = "") -> TestClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return TestClient(self.app, base_url="http://localhost", headers=headers, raise_server_exceptions=False)


@pytest.fixture
def service(database: Database) -> Service:
    return Service(database)


def paths(database: Database) -> dict[str, Route]:
    app = scoped_application(ports(database, sessions=Sessions(WHOLE)))
    return {route.path: route for route in app.routes if isinstance(route, Route)}


def test_of_every_route_it_is_said_what_it_is_to_a_scope(database: Database) -> None:
    """A new route fails here until it is scoped, refused, or harmless for a reason."""
    known = SCOPED | HARMLESS.keys() | REFUSED.keys()
    assert {path for path in paths(database) if path not in known} - set(VIEW_PATHS) == set()
    assert not SCOPED & (HARMLESS.keys() | REFUSED.keys())
    assert all(HARMLESS.values())
    assert all(REFUSED.values())


ASKED = {
    "/api/v1/requests/{request_id}": f"/api/v1/requests/{'0' * 32}",
    "/api/v1/sessions/{session_id:path}": "/api/v1/sessions/session%20of%20anna",
    "/api/v1/compare": "/api/v1/compare?start=2026-03-01&end=2026-03-02",
    "/api/v1/export": "/api/v1/export?format=jsonl",
    "/api/v1/breakdown": "/api/v1/breakdown?by=user,model,app,api_key_id",
    "/api/v1/heatmap": "/api/v1/heatmap?x=model&y=user",
    "/api/v1/report": "/api/v1/report?format=json",
    "/api/v1/changes": "/api/v1/changes?start=2026-03-01&end=2026-03-02",
}


def test_no_route_shows_a_scope_anything_of_others(service: Service, database: Database) -> None:
    http, whole = service.client(ANNA), service.client(WHOLE)
    for path in paths(database):
        if path == "/api/v1/live":
            continue  # see below
        asked = ASKED.get(path, path)
        answer = http.get(asked)
        if path in REFUSED:
            assert (answer.status_code, answer.json()["error"]["type"]) == (403, "out_of_scope"), path
            assert REFUSED[path] in answer.json()["error"]["message"]
        elif path in SCOPED:
            assert answer.status_code == 200, (path, answer.text)
        assert SECRET not in answer.text, path
        if path in {"/api/v1/requests", "/api/v1/export", "/api/v1/breakdown", "/api/v1/errors", "/api/v1/heatmap"}:
            assert SECRET in whole.get(asked).text, f"{path}: the test would not notice"


@pytest.mark.parametrize(
    "words",
    [
        f"user={SECRET}", f"user=anna,{SECRET}", "user!=anna", f"app=app of {SECRET}", "model!=model of anna",
        "user!=(none)", "response_time_ms>0",
    ],
)  # fmt: skip
def test_no_filter_gets_around_the_scope(service: Service, words: str) -> None:
    for path in ("requests", "summary", "export?format=csv", "query?metrics=requests&group_by=user"):
        sign = "&" if "?" in path else "?"
        answer = service.client(ANNA).get(f"/api/v1/{path}{sign}{words}")
        assert answer.status_code in {200, 422}
        if path == "summary" and answer.status_code == 200:
            assert answer.json()["requests"] in {0, 2}
        if path != "query?metrics=requests&group_by=user" and path != "summary":
            assert f"words of {SECRET}" not in answer.text


def test_one_record_by_its_id_or_arrival_is_there_only_within_the_scope(service: Service) -> None:
    http = service.client(ANNA)
    assert http.get("/api/v1/requests/" + an_id(3)).json()["user"] == "anna"
    assert http.get("/api/v1/requests/1").json()["request_id"] == an_id(0)
    for other in (an_id(1), "2"):
        answer = http.get(f"/api/v1/requests/{other}")
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found")
        assert answer.json() == http.get("/api/v1/requests/" + an_id(99)).json()
        assert service.client(WHOLE).get(f"/api/v1/requests/{other}").status_code == 200


def test_counts_are_those_of_the_scope(service: Service) -> None:
    assert service.client(ANNA).get("/api/v1/summary").json()["requests"] == 2
    assert service.client(WHOLE).get("/api/v1/summary").json()["requests"] == 6
    answer = service.client(ANNA).get("/api/v1/query?metrics=requests").json()
    assert (answer["records"], answer["start"], answer["end"]) == (2, "2026-03-01T12:00:00Z", "2026-03-01T12:00:04Z")


def test_of_a_session_that_others_share_only_the_own_part_is_seen(service: Service, database: Database) -> None:
    shared = {"session_id": "shared", "total_tokens": 10, "agent_id": None}
    for number, (who, model) in enumerate(((SECRET, SECRET), ("anna", "m"), (SECRET, SECRET))):
        database.append([a_row(a_record(100 + number, user=who, app=who, model=model, **shared))])
    child = a_record(110, user=SECRET, session_id=f"child of {SECRET}", parent_agent_id="shared")
    database.append([a_row(child)])
    http = service.client(ANNA)
    row = next(
        each for each in http.get("/api/v1/sessions?order=user").json()["items"] if each["session_id"] == "shared"
    )
    assert (row["requests"], row["total_tokens"], row["user"], row["app"]) == (1, 10, "anna", "anna")
    answer = http.get("/api/v1/sessions/shared")
    assert answer.json()["session"]["requests"] == 1
    assert SECRET not in answer.text
    assert http.get(f"/api/v1/sessions/child of {SECRET}").status_code == 404


def test_answers_that_are_kept_are_kept_for_each_scope(service: Service) -> None:
    asked = "/api/v1/query?metrics=requests"
    for http, requests in ((service.client(WHOLE), 6), (service.client(ANNA), 2), (service.client(WHOLE), 6)):
        assert http.get(asked, headers={"Cache-Control": "max-age=60"}).json()["records"] == requests


@pytest.mark.parametrize(
    ("conditions", "requests"),
    [
        ({"user": ("anna", "cleo")}, 2), ({"api_key_id": ("0" * 12,)}, 2), ({"app": ("app of anna",)}, 2),
        ({"tag": ("team=anna",)}, 2), ({"user": ("anna",), "app": ("other",)}, 0), ({"user": ("nobody",)}, 0),
    ],
)  # fmt: skip
def test_a_scope_can_be_a_user_a_key_an_application_or_a_tag(
    database: Database, conditions: dict[str, Any], requests: int
) -> None:
    http = Service(database, a_token(**conditions)).client(ANNA)
    assert http.get("/api/v1/summary").json()["requests"] == requests


def test_a_browser_signs_in_with_it_and_the_page_knows_whose_numbers_these_are(service: Service) -> None:
    http = service.client()
    assert http.get("/session").status_code == 401
    assert http.post("/session", json={"token": ANNA}).status_code == 200
    assert http.get("/session").json()["scope"] == {"name": "anna", "conditions": ["user=anna"]}
    assert http.get("/api/v1/summary").json()["requests"] == 2
    assert http.get("/metrics").status_code == 403
    assert http.delete("/session").status_code == 204
    assert http.get("/api/v1/summary").status_code == 401
    assert service.client(WHOLE).get("/session").json()["scope"] is None


def test_a_reload_takes_tokens_and_their_sessions_away_at_once(service: Service) -> None:
    browser, program = service.client(), service.client(ANNA)
    browser.post("/session", json={"token": ANNA})
    assert browser.get("/api/v1/summary").status_code == program.get("/api/v1/summary").status_code == 200
    service.sessions.use([a_token(user=("cleo",))])
    assert browser.get("/api/v1/summary").json()["requests"] == program.get("/api/v1/summary").json()["requests"] == 0
    service.sessions.use([])
    assert browser.get("/api/v1/summary").status_code == program.get("/api/v1/summary").status_code == 401
    assert service.client(WHOLE).get("/api/v1/summary").status_code == 200


def test_guesses_count_and_no_token_comes_into_a_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for number in range(6):
        answer = service.client(f"guess-{number}-{ANNA}").get("/api/v1/summary")
    assert answer.status_code == 429
    assert service.client(ANNA).get("/api/v1/summary").status_code == 429
    assert ANNA not in caplog.text


def test_live_events_are_those_of_the_scope(service: Service, database: Database) -> None:
    async def heard() -> str:
        app = scoped_application(scoped_ports(ports(database, sessions=service.sessions), a_token()))
        received: list[bytes] = []
        done = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            received.append(message.get("body", b""))
            if b"".join(received).count(b"event: record") == 2:
                done.set()

        scope = {
            "type": "http", "method": "GET", "path": "/api/v1/live", "raw_path": b"/api/v1/live", "root_path": "",
            "query_string": b"replay=10", "headers": [], "client": ("127.0.0.1", 1), "scheme": "http",
            "server": ("localhost", 80), "http_version": "1.1",
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 20)
        return b"".join(received).decode()

    text = asyncio.run(heard())
    assert text.count("event: record") == 2
    assert SECRET not in text


def test_limits_are_those_of_the_keys_that_the_scope_uses(database: Database) -> None:
    book = CounterBook()
    mine = msgspec.structs.replace(said(**CODEX), backend="127.0.0.1:8000", api_key_id="0" * 12)
    count(book, mine, msgspec.structs.replace(mine, api_key_id=SECRET))
    by_user = Service(database, a_token(), book=book, clock=lambda: NOW + 1).client(ANNA)
    assert by_user.get("/api/v1/quotas").json()["quotas"] == []  # its requests are months old
    database.add(msgspec.structs.replace(a_record(), timestamp="2026-11-29T11:00:00.000000Z", user="anna",
                                         api_key_id="0" * 12))  # fmt: skip
    for token in (a_token(), a_token(api_key_id=("0" * 12,))):
        app = create_app(ports(database, sessions=Sessions(WHOLE, [token]), book=book, clock=lambda: NOW + 1))
        http = TestClient(app, base_url="http://localhost", headers={"Authorization": f"Bearer {ANNA}"})
        found = http.get("/api/v1/quotas").json()["quotas"]
        assert {each["api_key_id"] for each in found} == {"0" * 12}


class _Watch:
    def __init__(self, *budgets: BudgetReport) -> None:
        self._budgets = list(budgets)

    def slos(self) -> list[Any]:
        return [SECRET]

    def alerts(self) -> list[Any]:
        return [SECRET]

    def budgets(self) -> list[BudgetReport]:
        return self._budgets


def standing(value: str | None) -> BudgetStanding:
    return BudgetStanding(
        value=value, spent=1, spent_ratio=0.1, projected=2, projected_ratio=0.2, requests=1, counted=1, state="ok"
    )


def test_budgets_are_those_whose_every_request_is_of_the_scope(database: Database) -> None:
    reports = [
        replaced(
            unmeasured(a_budget(name="each", each="user", webhook="http://h/x")), standing(SECRET), standing("anna")
        ),
        replaced(unmeasured(a_budget(name="anna", about=About(user="anna"))), standing(None)),
        replaced(unmeasured(a_budget(name="all")), standing(None)),
        replaced(unmeasured(a_budget(name="ben", about=About(user=SECRET))), standing(None)),
        replaced(unmeasured(a_budget(name="both", about=About(where=(Condition("user", "=", ("anna", "x")),)))),
                 standing(None)),
        replaced(unmeasured(a_budget(name="app", each="app")), standing("app of anna")),
    ]  # fmt: skip
    answer = Service(database, watch=_Watch(*reports)).client(ANNA).get("/api/v1/budgets")
    assert [(each["name"], each["webhook"]) for each in answer.json()["budgets"]] == [("each", None), ("anna", None)]
    assert SECRET not in answer.text


def replaced(report: BudgetReport, *standings: BudgetStanding) -> BudgetReport:
    return msgspec.structs.replace(report, standings=list(standings))


def test_a_scope_has_a_condition() -> None:
    with pytest.raises(ValueError, match="without a condition"):
        ScopedRecords(None, ())  # type: ignore[arg-type]


def test_scoped_ports_share_nothing_about_all_requests(database: Database) -> None:
    whole = ports(database, book=CounterBook())
    cut = scoped_ports(whole, a_token())
    assert replace(cut, clock=whole.clock).scoreboard is None
    assert cut.service_status() is None
    assert cut.book is not whole.book
    assert list(cut.settings()) == []
    assert cut.clock() == NOW_UNIX_S
    fill(database)
    assert len(cut.records.page(RequestFilter(), ("user",), None, 100)) == 2
