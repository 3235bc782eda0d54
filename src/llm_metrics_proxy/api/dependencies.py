"""What the routes of data share: which parameters they take, when they answer, and which errors they document."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.responses import Response

from llm_metrics_proxy.api.migrations import MigrationBlocksDataError
from llm_metrics_proxy.api.parameters import KnownOnly
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer

_Responses = Mapping[int | str, dict[str, Any]]
_Route = TypeVar("_Route", bound=Callable[..., Any])

WRONG: Final[_Responses] = {422: answer("ErrorAnswer", "A parameter is wrong; the message says which and why.")}
DATA_ERRORS: Final[_Responses] = {
    **WRONG,
    503: answer(
        "ErrorAnswer",
        "The database is busy, missing, or one of an older version that is being made ready (`migrating`); Retry-After "
        "says when to ask again.",
    ),
}


class DataRoutes:
    """Routes below ``/api/v1/`` that answer GET."""

    def __init__(self, app: FastAPI, ports: ApiPorts) -> None:
        self._app = app
        self._ports = ports

    def get(
        self,
        path: str,
        summary: str,
        shown: dict[str, Any],
        parameters: type[BaseModel] | None = None,
        *,
        tag: str = "metrics",
        more: _Responses = {},  # noqa: B006 -- never changed
        errors: _Responses = DATA_ERRORS,
        description: str | None = None,
        reads_records: bool = True,
    ) -> Callable[[_Route], _Route]:
        """A decorator for a function that takes these ``parameters``; others are refused. ``shown`` is the answer with
        status 200. A route that reads records refuses while the database cannot be read yet."""
        known = Depends(KnownOnly(parameters, repeatable=("slo", "where")))
        return self._app.get(
            f"/api/v1/{path}",
            summary=summary,
            description=description,
            tags=[tag],
            response_class=Response,
            dependencies=[Depends(self._readable), known] if reads_records else [known],
            responses={200: shown, **more, **errors},
        )

    def _readable(self) -> None:
        migrations = self._ports.migrations
        if migrations is not None and migrations.blocks_store():
            raise MigrationBlocksDataError(migrations.progress(), migrations.problem())
