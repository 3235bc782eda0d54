"""An API over a real database, for the tests of its routes."""

from typing import Any

from starlette.testclient import TestClient

from llm_metrics_proxy.api import ApiPorts, create_app
from llm_metrics_proxy.api.session import Sessions
from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.engines import open_records
from llm_metrics_proxy.ingestion import IngestionStatus
from tests.analytics.database import Database

NOW_UNIX_S = 1_772_366_400.0
RUNNING = IngestionStatus(running=True, records_ingested=3)


def ports(database: Database, **changes: Any) -> ApiPorts:
    """Ports of a service that is well, changed by ``changes``; ``reader``: what its records are read by."""
    if token := changes.pop("token", None):
        changes["sessions"] = Sessions(token)
    reader = changes.pop("reader", database.reader)
    given = {"records": open_records(reader), "book": CounterBook(), "service_status": lambda: RUNNING}
    return ApiPorts(**{"clock": lambda: NOW_UNIX_S, **given, **changes})


def client(database: Database, **changes: Any) -> TestClient:
    """A client of the application; what fails inside becomes an answer, as for real clients."""
    app = create_app(ports(database, **changes))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
