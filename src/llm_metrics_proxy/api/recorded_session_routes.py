"""``/api/v1/sessions``: what clients did in sessions of theirs. (``/session`` is signing in, in ``session_routes``.)

An id may hold any visible character, and stands in the path as ``encodeURIComponent`` writes it. Programs take a
segment ``..`` for the folder above before they send it, in any spelling; so one slash at the end is no part of the
id, and ``..%2F`` is the session ``..``.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Path, Query
from starlette.responses import Response

from llm_metrics_proxy.analytics.session_detail import read_session
from llm_metrics_proxy.analytics.sessions import list_sessions
from llm_metrics_proxy.api.answers import data_response, error_response
from llm_metrics_proxy.api.dependencies import DataRoutes
from llm_metrics_proxy.api.parameters import SessionParameters, SessionsParameters
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer

_NO_SUCH_SESSION: Final = (
    "no record has this session_id; /api/v1/sessions lists those that there are, and the retention deletes old ones"
)


def add_recorded_session_routes(routes: DataRoutes, ports: ApiPorts) -> None:
    """A list, and one."""

    def now() -> datetime:
        return datetime.fromtimestamp(ports.clock(), UTC)

    @routes.get(
        "sessions",
        "Sessions of clients, with what each used, page by page",
        answer("SessionPage", "A page; ask for the next with `next_cursor`."),
        SessionsParameters,
        tag="records",
        description=(
            "Those that have a record which the filters select. Each is shown whole, also what lies outside of the "
            "range. Missing values come last in any order."
        ),
    )
    def read_sessions(parameters: Annotated[SessionsParameters, Query()]) -> Response:
        return data_response(list_sessions(ports.records, parameters.to_query(), now()), ports.records)

    @routes.get(
        "sessions/{session_id:path}",
        "One session: its requests in order, its agents, and where time and money went",
        answer("SessionDetail", "The session."),
        SessionParameters,
        tag="records",
        more={404: answer("ErrorAnswer", "There is no such session.")},
    )
    def read_one_session(
        session_id: Annotated[
            str, Path(description="The `session_id`, percent-encoded. One slash at its end is no part of it.")
        ],
        parameters: Annotated[SessionParameters, Query()],
    ) -> Response:
        found = read_session(
            ports.records, session_id.removesuffix("/"), now(), limit=parameters.limit, offset=parameters.offset
        )
        if found is None:
            return error_response(404, "not_found", _NO_SUCH_SESSION, "session_id")
        return data_response(found, ports.records)
