"""``/api/v1/export``: the selected records as a file."""

import json
import threading
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Final

import msgspec
from fastapi import Query
from starlette.responses import Response

from llm_metrics_proxy.analytics.history import history_of
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.api.answers import error_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.parameters import ExportParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer
from llm_metrics_proxy.api.streaming import Streamed
from llm_metrics_proxy.export import FORMATS, ExportQuery, export
from llm_metrics_proxy.metrics_service import APP_VERSION

AT_ONCE: Final = 4  # each keeps a core busy as long as its client takes what it makes
_RETRY_S: Final = 10
_DESCRIPTION: Final = (
    "Every selected record once, in the order of `arrival`, host by host: those that are there when the answer begins. "
    "A record that is changed meanwhile comes as it was before or as it is after, and its `app_version` says which. An "
    "answer that cannot be completed is broken off, without the end of its chunked body. "
    '`csv`: RFC 4180; a missing value is nothing, an empty text `""`; a text that a spreadsheet would take for a '
    "formula has an apostrophe in front. `parquet`: typed columns, their units in the fields' metadata."
)
_FILE: Final[dict[str, Any]] = {
    "description": "The file; the header x-llm-metrics-app-version names the program's version; while older records "
    "are not in it, x-llm-metrics-history says how many, as JSON like `history` in other answers.",
    "content": {one.media_type.partition(";")[0]: {"schema": {"type": "string"}} for one in FORMATS.values()},
}


def add_export_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """The route."""
    places = threading.BoundedSemaphore(AT_ONCE)

    @routes.get(
        "export",
        "Records as a file: JSON lines, CSV or Parquet, of any size",
        _FILE,
        ExportParameters,
        tag="records",
        more={429: answer("ErrorAnswer", "Too many exports are under way; Retry-After says when to ask again.")},
        description=_DESCRIPTION,
    )
    def read_export(parameters: Annotated[ExportParameters, Query()]) -> Response:
        query = parameters.to_query()
        if not places.acquire(blocking=False):
            message = f"{AT_ONCE} exports are under way already; ask again when one of them has ended"
            return error_response(429, "too_many_requests", message, headers={"Retry-After": str(_RETRY_S)})
        try:
            return _streamed(ports.records, query, places)
        except BaseException:
            places.release()
            raise


def _streamed(records: Records, query: ExportQuery, places: threading.BoundedSemaphore) -> Streamed:
    """The answer, with the first records in hand: what can go wrong should do so before the status is sent."""
    pieces = (piece.data for piece in export(records, query))
    first = [next(pieces), next(pieces)]
    chunks: Iterator[bytes] = (data for data in chain(first, pieces) if data)
    headers = {
        "Content-Disposition": f'attachment; filename="llm-requests.{query.format}"',
        "x-llm-metrics-app-version": APP_VERSION,
    }
    if history := history_of(records.carried()):
        headers["x-llm-metrics-history"] = json.dumps(msgspec.to_builtins(history))  # ASCII, whatever it says
    return Streamed(chunks, FORMATS[query.format].media_type, headers, places.release)
