"""What keeps data from being read while a database is made ready; the rest is in ``test_migrations``."""

import pytest

from tests.analytics.database import Database
from tests.api.service import client

DATA = ["/api/v1/requests", "/api/v1/summary", "/api/v1/errors", "/api/v1/export?format=csv"]


@pytest.mark.parametrize("path", DATA)
def test_every_route_of_data_documents_when_it_refuses(database: Database, path: str) -> None:
    document = client(database).get("/openapi.json").json()
    responses = document["paths"][path.partition("?")[0]]["get"]["responses"]
    assert {"422", "503"} <= set(responses)
