import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from llm_metrics_proxy.analytics import WORDS, Errors, ErrorsQuery, RequestFilter, Summary, read_errors, summarise
from llm_metrics_proxy.analytics.versions import VERSION_HISTORY
from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.api.health import Health, Readiness
from llm_metrics_proxy.api.migrations import MigrationNow
from llm_metrics_proxy.api.schemas import RequestItem, RequestPage, Versions
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.sqlite import SqliteReader
from tests.analytics.database import Database, a_record, a_row
from tests.api.service import client, ports
from tests.examples import examples


def error_of(response: Any) -> dict[str, Any]:
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"type", "parameter", "message"}
    assert response.headers["content-type"] == "application/json"
    error: dict[str, Any] = body["error"]
    return error


def test_records_come_as_flat_objects_whose_keys_are_the_columns(database: Database) -> None:
    database.add(a_record(0, user="ann"), a_record(1, is_streaming=False, model=None))
    page = client(database).get("/api/v1/requests").json()
    assert page["app_version"] == APP_VERSION
    assert page["next_cursor"] is None
    newest, oldest = page["items"]
    assert tuple(newest) == tuple(oldest) == ALL_COLUMNS
    assert newest["is_streaming"] is False
    assert newest["model"] is None
    assert oldest["user"] == "ann"


def test_every_answer_has_the_shape_that_the_document_promises(database: Database) -> None:
    database.add(a_record(), a_record(success=False, outcome="upstream_error", error_type="quota"))
    http = client(database, versions=lambda: {"python": "3.11"})
    shapes: dict[str, Any] = {
        "/api/v1/requests?limit=1": RequestPage,
        "/api/v1/requests/1": RequestItem,
        "/api/v1/summary": Summary,
        "/api/v1/errors": Errors,
        "/api/v1/versions": Versions,
        "/api/v1/migrations/current": MigrationNow,
        "/health": Health,
        "/ready": Readiness,
    }
    for path, shape in shapes.items():
        response = http.get(path)
        assert response.status_code == 200
        assert msgspec.json.decode(response.content, type=shape)
        if shape is not RequestItem:  # whose app_version is that of the record
            assert response.json()["app_version"] == APP_VERSION


def test_paging_through_the_api_reaches_every_record_once(database: Database) -> None:
    database.add(*(a_record(number // 3) for number in range(25)))
    http = client(database)
    seen: list[int] = []
    cursor: str | None = None
    while cursor is not None or not seen:
        page = http.get("/api/v1/requests", params={"limit": 4} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["arrival"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == list(range(25, 0, -1))


def test_filters_and_times_reach_the_question(database: Database) -> None:
    database.add(a_record(0, model="a"), a_record(10, model="a"), a_record(10, model="b", is_streaming=False))
    http = client(database)
    assert http.get("/api/v1/summary", params={"model": "a"}).json()["requests"] == 2
    assert http.get("/api/v1/summary", params={"streaming": "false"}).json()["requests"] == 1
    assert http.get("/api/v1/summary", params={"start": "2026-03-01T12:00:10"}).json()["requests"] == 2
    assert http.get("/api/v1/summary", params={"start": "2026-03-01T13:00:10+01:00"}).json()["requests"] == 2
    assert http.get("/api/v1/summary", params={"end": "2026-03-01T12:00:10Z"}).json()["requests"] == 1
    assert http.get("/api/v1/summary", params={"start": "2026-03-02"}).json()["requests"] == 0


def test_the_summary_is_what_analytics_says(database: Database) -> None:
    database.add(a_record(0), a_record(1, response_time_ms=None))
    body = client(database).get("/api/v1/summary").content
    assert msgspec.json.decode(body, type=Summary) == summarise(database.records, RequestFilter())


def test_the_errors_are_what_analytics_says(database: Database) -> None:
    failed: Any = {"success": False, "outcome": "upstream_error", "error_type": "rate_limit", "retry_after_ms": 2000.0}
    database.append(a_row(a_record(number, **failed), error_category="limit") for number in range(3))
    database.add(a_record())
    http = client(database)
    body = http.get("/api/v1/errors", params={"examples": 2}).content
    answer = msgspec.json.decode(body, type=Errors)
    assert answer == read_errors(database.records, ErrorsQuery(examples=2))
    assert (answer.errors, answer.share, len(answer.examples), len(answer.retry)) == (3, 0.75, 2, 1)
    assert http.get("/api/v1/errors", params={"model": "nobody"}).json()["errors"] == 0
    assert http.get("/api/v1/errors", params={"error_type": "rate_limit"}).json()["share"] == 1
    assert http.get("/api/v1/requests", params={"error_category": "limit"}).json()["items"][0]["arrival"] == 3
    assert http.get("/api/v1/summary", params={"error_category": "auth"}).json()["requests"] == 0


def test_the_example_of_the_document_has_the_shape_of_an_answer(database: Database) -> None:
    document = client(database).get("/openapi.json").json()
    example = document["paths"]["/api/v1/errors"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    answer = msgspec.convert(example, Errors)
    assert answer.app_version == APP_VERSION
    assert msgspec.json.decode(msgspec.json.encode(answer)) == example


@pytest.mark.parametrize("path", ["/api/v1/requests", "/api/v1/summary", "/api/v1/errors"])
@pytest.mark.parametrize("name", WORDS)
def test_a_word_of_errors_that_there_is_not_is_refused_with_those_that_there_are(
    database: Database, path: str, name: str
) -> None:
    http = client(database)
    response = http.get(path, params={name: "nonsense"})
    assert response.status_code == 422
    error = error_of(response)
    assert error["parameter"] == name
    assert all(word in error["message"] for word in WORDS[name])
    document = http.get("/openapi.json").json()
    described = {one["name"]: one["schema"] for one in document["paths"][path]["get"]["parameters"]}
    assert described[name]["enum"] == list(WORDS[name])
    for word in WORDS[name]:
        assert http.get(path, params={name: word}).status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("cursor=garbage", "cursor"),
        ("cursor=%00%ff", "cursor"),
        ("start=2026-02-02&end=2026-02-02", "start"),
        ("start=yesterday", "start"),
        ("end=2026-01-01T00:00:00+01:00", "end"),  # the + is a space by the time it gets here
        ("success=yes", "success"),
        ("streaming=1", "streaming"),
        ("status_code=99", "status_code"),
        ("model=", "model"),
        ("modle=gpt", "modle"),
        ("model=a&model=b", "model"),
        (f"origin={'x' * 513}", "origin"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_answered(database: Database, query: str, parameter: str) -> None:
    response = client(database).get(f"/api/v1/requests?{query}")
    assert response.status_code == 422
    error = error_of(response)
    assert (error["type"], error["parameter"]) == ("invalid_request", parameter)
    assert len(error["message"]) < 400


@pytest.mark.parametrize("path", ["/api/v1/versions?x=1", "/api/v1/requests/1?x=1", "/api/v1/summary?limit=5"])
def test_no_route_ignores_a_parameter_that_it_does_not_have(database: Database, path: str) -> None:
    database.add(a_record())
    assert client(database).get(path).status_code == 422


@pytest.mark.parametrize(
    "path", ["/elsewhere", "/api", "/api/v1/requests/", "/api/v1/requests/77", "/api/v1/requests/a%2Fb"]
)
def test_what_is_not_there_is_404_in_the_one_shape(database: Database, path: str) -> None:
    response = client(database).get(path)
    assert response.status_code == 404
    assert error_of(response)["type"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405_and_told_what_works(database: Database, method: str) -> None:
    response = client(database).request(method, "/api/v1/summary")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert error_of(response)["type"] == "method_not_allowed"


def test_a_missing_database_is_503_for_data_and_health_goes_on(database: Database, tmp_path: Path) -> None:
    http = client(database, reader=SqliteReader(tmp_path / "absent.db"))
    for path in ("/api/v1/requests", "/api/v1/requests/1", "/api/v1/summary", "/api/v1/versions"):
        response = http.get(path)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert error_of(response)["type"] == "store_unavailable"
    assert http.get("/health").status_code == 200
    assert http.get("/metrics").status_code == 200
    ready = http.get("/ready")
    assert ready.status_code == 503
    assert "absent.db" in ready.json()["reasons"][0]


class Failing:
    """A reader whose every query ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def query(self, sql: str, parameters: object = ()) -> list[tuple[Any, ...]]:
        raise self.error

    def snapshot(self) -> Any:
        raise self.error

    def close(self) -> None:
        """Nothing is open."""


def test_a_busy_database_asks_for_patience(database: Database) -> None:
    response = client(database, reader=Failing(StoreBusyError("locked by another program"))).get("/api/v1/summary")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert error_of(response) == {"type": "store_busy", "message": "locked by another program", "parameter": None}


def test_a_fault_that_nobody_foresaw_shows_no_inside(database: Database) -> None:
    response = client(database, reader=Failing(ZeroDivisionError("secret detail"))).get("/api/v1/summary")
    assert response.status_code == 500
    assert error_of(response)["type"] == "internal_error"
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def test_ready_needs_the_database_and_ingestion(database: Database) -> None:
    assert client(database).get("/ready").json() == {"ready": True, "app_version": APP_VERSION, "reasons": []}
    response = client(database, service_status=lambda: None, reader=Failing(StoreError("broken"))).get("/ready")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["ingestion does not run", "broken"]
    assert "retry-after" in response.headers


def test_health_answers_while_long_questions_occupy_every_thread(database: Database) -> None:
    release = threading.Event()
    asked = threading.Semaphore(0)

    class Slow:
        def query(self, sql: str, parameters: object = ()) -> list[tuple[Any, ...]]:
            asked.release()
            release.wait(20)
            raise StoreError("stopped")

        @contextlib.contextmanager
        def snapshot(self) -> Iterator["Slow"]:
            yield self

        def close(self) -> None:
            """Nothing is open."""

    with client(database, reader=Slow()) as http:  # one event loop for all
        threads = [threading.Thread(target=http.get, args=("/api/v1/summary",)) for _ in range(50)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(40):  # the size of Starlette's pool of threads
                assert asked.acquire(timeout=10)
            assert http.get("/health").status_code == 200
        finally:
            release.set()
            for thread in threads:
                thread.join()


def test_versions_tell_the_history_and_who_follows_what(database: Database) -> None:
    database.add(a_record(), app_version="1.0.0")
    database.add(a_record(), a_record())
    body = client(database, versions=lambda: {"sqlite": "3.54.1"}).get("/api/v1/versions").json()
    assert body["records_by_version"] == {"1.0.0": 1, "2.0.0": 2}
    history = {note["version"]: note for note in body["history"]}
    assert list(history) == [note.version for note in VERSION_HISTORY]
    assert "response time" in history["4.0.0"]["breaking_changes"][0]
    assert "response_time_ms" in history["2.0.0"]["tokens_per_second"]
    assert body["components"] == {"sqlite": "3.54.1"}


@pytest.mark.grid
def test_the_api_holds_to_its_own_document_whatever_it_is_sent(database: Database) -> None:
    database.add(*(a_record(number) for number in range(5)))
    stopping: Any = {"stopping": lambda: True}  # so that answers without an end have one
    app = create_app(ports(database, allowed_hosts=frozenset({"testserver"}), **stopping))  # what schemathesis asks by
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    # Left out: a range can be impossible though both its ends are well-formed, and no schema can say that.
    excluded: list[Any] = [positive_data_acceptance]
    tried = Counter[str]()

    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok)
        modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        strategy = st.one_of([operation.ok().as_strategy(generation_mode=mode) for mode in modes])

        @examples(15, allow=tuple(HealthCheck), database=None)
        @hypothesis.given(case=strategy)
        def holds(case: schemathesis.Case[Any]) -> None:
            tried[case.operation.label] += 1
            case.call_and_validate(excluded_checks=excluded)

        holds()
    paths = schema.raw_schema["paths"]
    assert set(tried) == {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    assert tried["GET /api/v1/requests"] >= 10


def _paths(http: TestClient) -> dict[str, list[str]]:
    """Every path of the document with the names of its parameters."""
    document = http.get("/openapi.json", headers={"Authorization": "Bearer secret"}).json()
    return {
        path: [one["name"] for one in operations["get"].get("parameters", [])]
        for path, operations in document["paths"].items()
    }


INJECTIONS: tuple[str, ...] = (
    "'",
    "';DROP TABLE completion_requests;--",
    '"',
    ") OR 1=1--",
    "x' UNION SELECT 1--",
    "\x00",
    "=1 OR 1=1",
    "1;DROP TABLE completion_requests",
)


@pytest.mark.grid
@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_any_parameter_of_any_route_is_a_word_or_is_refused(database: Database, text: str) -> None:
    database.add(*(a_record(number) for number in range(5)))
    stopping: Any = {"stopping": lambda: True}  # so that answers without an end have one
    http = client(database, **stopping)
    tried = 0
    for path, names in _paths(http).items():
        needed = {"format": "jsonl"} if path == "/api/v1/export" else {}
        for name in names:
            if name == "Last-Event-ID":
                response = http.get(path, headers={name: text.replace("\x00", "0")})
            else:
                response = http.get(path.replace("{id}", quote(text, safe="")), params={**needed, name: text})
            assert response.status_code in {200, 404, 422}, (path, name)
            tried += 1
    assert tried > 200
    assert http.get("/api/v1/summary").json()["requests"] == 5


def test_with_a_token_set_every_route_of_the_document_needs_it(database: Database) -> None:
    http = client(database, token="secret", stopping=lambda: True)
    asked = {path: http.get(path.replace("{id}", "1")).status_code for path in _paths(http)}
    assert len(asked) >= 17
    assert {path for path, status in asked.items() if status != 401} == {"/health", "/ready"}


def test_every_route_of_the_document_is_kept_from_pages_under_other_names(database: Database) -> None:
    http = client(database, allowed_hosts=frozenset({"localhost"}), stopping=lambda: True)
    headers = {"Host": "evil.example"}
    asked = {path: http.get(path.replace("{id}", "1"), headers=headers).status_code for path in _paths(http)}
    assert {path: status for path, status in asked.items() if status != 421} == {}
