import time

import pytest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request

from llm_metrics_proxy.api.answers import error_response, json_response
from llm_metrics_proxy.api.refusals import http_error, store_error
from llm_metrics_proxy.errors import NewerDatabaseError, StoreBusyError, StoreError
from llm_metrics_proxy.record import COLUMNS

REQUEST = Request({"type": "http", "method": "GET", "path": "/x", "headers": [], "server": ("127.0.0.1", 1)})


def test_an_error_has_one_shape() -> None:
    response = error_response(422, "invalid_request", "why", "limit")
    assert response.status_code == 422
    assert bytes(response.body) == b'{"error":{"type":"invalid_request","message":"why","parameter":"limit"}}'


def test_what_json_lacks_becomes_null() -> None:
    assert bytes(json_response({"a": float("inf"), "b": float("nan")}).body) == b'{"a":null,"b":null}'


@pytest.mark.parametrize(
    ("error", "kind", "retry"),
    [
        (StoreBusyError("b"), "store_busy", "1"),
        (StoreError("s"), "store_unavailable", "5"),
        (NewerDatabaseError("n"), "store_unavailable", "5"),
    ],
)
def test_store_errors_ask_to_come_back(error: StoreError, kind: str, retry: str) -> None:
    response = store_error(REQUEST, error)
    assert response.status_code == 503
    assert response.headers["retry-after"] == retry
    assert kind.encode() in bytes(response.body)


def test_a_refusal_of_the_router_that_has_no_words_of_ours_keeps_its_own() -> None:
    response = http_error(REQUEST, HTTPException(418, "short and {stout}", headers={"X-Pot": "tea"}))
    assert response.status_code == 418
    assert b"short and {stout}" in bytes(response.body)
    assert Headers(raw=response.raw_headers)["x-pot"] == "tea"


def test_a_path_with_braces_is_shown_as_it_is() -> None:
    request = Request({**REQUEST.scope, "path": "/{path.__class__}"})
    assert b"/{path.__class__}" in bytes(http_error(request, HTTPException(404)).body)


def test_a_thousand_records_are_rendered_in_a_few_milliseconds() -> None:
    items = [dict.fromkeys(COLUMNS, "a value of some length") for _ in range(1000)]
    best = min(_seconds(items) for _ in range(5))
    assert best < 0.1  # about 0.002 on an idle machine; encoding by way of Python objects takes 0.3


def _seconds(items: object) -> float:
    started = time.process_time()
    json_response({"items": items})
    return time.process_time() - started
