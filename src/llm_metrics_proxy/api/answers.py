"""Answers as bytes: JSON by msgspec, and one shape for every error.

A thousand records are rendered in about 2 ms; FastAPI's own ``jsonable_encoder`` takes some 300.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_metrics_proxy.analytics.history import with_history
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.api.migrations import MigrationBlocksDataError
from llm_metrics_proxy.errors import MissingExtraError, QueryError, StoreBusyError, StoreError

_encode: Final = msgspec.json.Encoder().encode
_log = logging.getLogger(__name__)
_BUSY_RETRY_S: Final = 1
_MISSING_RETRY_S: Final = 5


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong, where, and what to do."""

    type: str
    message: str
    parameter: str | None = None  # of the request, if one is at fault


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer with a status of 400 or above."""

    error: ErrorDetail


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """``value`` (structs, dicts, lists, scalars) as JSON. Infinities, which JSON lacks, become null."""
    return Response(encoded(value), status, headers, media_type="application/json")


def encoded(value: Any) -> bytes:
    """The body of ``json_response``."""
    return _encode(value)


def data_response(value: msgspec.Struct, records: Records) -> Response:
    """An answer about records, with what it lacks while older ones are carried over."""
    return json_response(with_history(value, records))


def error_response(
    status: int,
    type: str,  # noqa: A002 -- the field's name on the wire
    message: str,
    parameter: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An ``ErrorAnswer``."""
    return json_response(ErrorAnswer(ErrorDetail(type=type, message=message, parameter=parameter)), status, headers)


def too_many_attempts(wait_s: float) -> Response:
    """To somebody who gave wrong tokens too often."""
    message = f"wrong tokens came from this address too often: try again in {wait_s:.0f} s"
    return error_response(429, "too_many_attempts", message, headers={"Retry-After": str(int(wait_s) + 1)})


def query_error(_: Request, error: Exception) -> Response:
    """An invalid query."""
    assert isinstance(error, QueryError)
    return error_response(422, "invalid_request", str(error), error.parameter)


def validation_error(_: Request, error: Exception) -> Response:
    """The first parameter that FastAPI found wrong, in the words of pydantic."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    parameter = str(first["loc"][1])  # after "query" or "path"; further parts are pydantic's own
    message = first["msg"].removeprefix("Value error, ")
    return error_response(422, "invalid_request", f"{parameter}: {message}", parameter)


def store_error(_: Request, error: Exception) -> Response:
    """The database is busy, missing or broken: the asker may come back, the proxy goes on meanwhile."""
    if isinstance(error, StoreBusyError):
        return error_response(503, "store_busy", str(error), headers={"Retry-After": str(_BUSY_RETRY_S)})
    _log.warning("the database cannot answer: %s", error)
    return error_response(503, "store_unavailable", str(error), headers={"Retry-After": str(_MISSING_RETRY_S)})


def missing_extra(_: Request, error: Exception) -> Response:
    """What was asked for takes a part of the package that is not installed here."""
    return error_response(HTTPStatus.NOT_IMPLEMENTED, "not_installed", str(error))


def blocked(_: Request, error: Exception) -> Response:
    """The database is being made ready: the message says how far that is, and Retry-After how long it takes."""
    assert isinstance(error, MigrationBlocksDataError)
    return error_response(503, "migrating", str(error), headers={"Retry-After": str(error.retry_s)})


_HTTP_ERRORS: Final = {
    404: ("not_found", "there is nothing at {path}; /docs lists the paths"),
    405: ("method_not_allowed", "{method} does not work at {path}; the header Allow names what does"),
}


def http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    assert isinstance(error, HTTPException)
    kind, message = _HTTP_ERRORS.get(
        error.status_code, (HTTPStatus(error.status_code).phrase.lower().replace(" ", "_"), "{detail}")
    )
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":  # the guard answers HEAD wherever GET works
        headers["Allow"] = "GET, HEAD"
    text = message.format(path=request.url.path, method=request.method, detail=error.detail)
    return error_response(error.status_code, kind, text, headers=headers)


HANDLERS: Final = {
    QueryError: query_error,
    RequestValidationError: validation_error,
    StoreError: store_error,
    MissingExtraError: missing_extra,
    MigrationBlocksDataError: blocked,
    HTTPException: http_error,
}
