"""What the application answers where it raises: a query that cannot be, a store that cannot answer, a path or a method
that is not there. One shape for all, that of ``answers``."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.migrations import MigrationBlocksDataError
from llm_metrics_proxy.errors import MissingExtraError, QueryError, StoreBusyError, StoreError

_log = logging.getLogger(__name__)
_BUSY_RETRY_S: Final = 1
_MISSING_RETRY_S: Final = 5


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


async def left_to_the_guard(_: Request, error: Exception) -> Response:
    """What nobody foresaw: the guard, which is around every application, logs and answers it."""
    raise error


HANDLERS: Final = {
    QueryError: query_error,
    RequestValidationError: validation_error,
    StoreError: store_error,
    MissingExtraError: missing_extra,
    MigrationBlocksDataError: blocked,
    HTTPException: http_error,
    Exception: left_to_the_guard,
}
