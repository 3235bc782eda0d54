"""What the routes have in common: when they may be asked, and which errors they document."""

from typing import Any, Final

from fastapi import Depends

from llm_metrics_proxy.api import migrations
from llm_metrics_proxy.api.ports import ApiPorts
from llm_metrics_proxy.api.schemas import answer

DATA_ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    422: answer("ErrorAnswer", "A parameter is wrong; the message says which and why."),
    503: answer(
        "ErrorAnswer",
        "The database is busy, missing, or one of an older program that is being adopted (`migrating`); Retry-After "
        "says when to ask again.",
    ),
}


def readable(ports: ApiPorts) -> Any:
    """A dependency of every route that reads records: refuses while the database cannot be read yet."""

    def check() -> None:
        if ports.migrations is not None and ports.migrations.blocks_store():
            raise migrations.MigrationBlocksDataError(ports.migrations.progress())

    return Depends(check)
