"""``/api/v1/sessions`` and ``/api/v1/sessions/{id}``."""

from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec
import pytest

from llm_metrics_proxy.analytics.session_detail import SessionDetail
from llm_metrics_proxy.analytics.sessions import SessionPage
from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.analytics.database import NOON, Database, a_record
from tests.api.service import client

LIST: Final = "/api/v1/sessions"


@pytest.fixture
def filled(database: Database) -> Database:
    for number in range(9):
        database.add(a_record(number * 60, session_id=f"s{number % 3}", model="ab"[number % 2], app="Codex"))
    return database


def test_a_page_of_sessions_leads_to_the_next(filled: Database) -> None:
    http = client(filled)
    first = msgspec.json.decode(http.get(LIST, params={"limit": 2}).content, type=SessionPage)
    assert (first.app_version, [row.session_id for row in first.items]) == (APP_VERSION, ["s0", "s1"])
    rest = http.get(LIST, params={"limit": 2, "cursor": first.next_cursor}).json()
    assert ([row["session_id"] for row in rest["items"]], rest["next_cursor"]) == (["s2"], None)


def test_filters_choose_and_order_sorts(filled: Database) -> None:
    http = client(filled)
    until = (NOON + timedelta(seconds=90)).isoformat()
    found = http.get(LIST, params={"end": until, "order": "-last_request", "app": "Codex"}).json()["items"]
    assert [(row["session_id"], row["requests"]) for row in found] == [("s1", 3), ("s0", 3)]
    assert http.get(LIST, params={"model": "c"}).json()["items"] == []


def test_one_session_has_its_requests(filled: Database) -> None:
    found = msgspec.json.decode(client(filled).get(f"{LIST}/s1?limit=2").content, type=SessionDetail)
    assert [one.start_ms for one in found.requests] == [0.0, 180_000.0]
    assert (found.session.requests, found.counted_requests, found.next_offset) == (3, 3, 2)
    last = client(filled).get(f"{LIST}/s1?limit=2&offset=2").json()
    assert ([one["start_ms"] for one in last["requests"]], last["next_offset"]) == ([360_000.0], None)


# ``%`` is left to the real server in the browser's tests: the test client decodes a path twice.
@pytest.mark.parametrize("name", ["a/b", "..", ".", "../", "x/", "/", "a?b#c", "日本 語", "'; --", "<b>", "\\", '"'])
def test_an_id_may_hold_any_character(database: Database, name: str) -> None:
    database.add(a_record(session_id=name), a_record(session_id="other"))
    path = quote(name, safe="") + ("%2F" if name in (".", "..") or name.endswith("/") else "")
    answer = client(database).get(f"{LIST}/{path}")
    assert (answer.status_code, answer.json()["session"]["session_id"]) == (200, name)


@pytest.mark.parametrize(
    ("path", "status", "parameter", "words"),
    [
        ("?order=tokens", 422, "order", "there is no order of sessions 'tokens'"),
        ("?limit=201", 422, "limit", "less than or equal to 200"),
        ("?cursor=abc", 422, "cursor", "not a cursor"),
        ("?modle=a", 422, "modle", "there is no parameter"),
        ("/nobody", 404, "session_id", "no record has this session_id"),
        ("/", 404, "session_id", "no record has this session_id"),
        ("/s1?limit=0", 422, "limit", "greater than or equal to 1"),
        ("/s1?offset=-1", 422, "offset", "greater than or equal to 0"),
        ("/s1?model=a", 422, "model", "there is no parameter"),
    ],
)
def test_what_cannot_be_answered_says_why(filled: Database, path: str, status: int, parameter: str, words: str) -> None:
    answer = client(filled).get(f"{LIST}{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["parameter"]) == (status, parameter)
    assert words in error["message"]


@pytest.mark.parametrize(("path", "shape"), [(LIST, SessionPage), (f"{LIST}/{{session_id}}", SessionDetail)])
def test_the_examples_of_the_document_are_answers(database: Database, path: str, shape: Any) -> None:
    document = client(database).get("/openapi.json").json()
    example = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    found = msgspec.json.decode(msgspec.json.encode(example), type=shape)
    assert found.app_version == APP_VERSION
    if isinstance(found, SessionDetail):
        assert sum(one.total_tokens or 0 for one in found.requests) == found.session.total_tokens
        assert [node.agent_id for node in found.agents] == [None, "a1"]
