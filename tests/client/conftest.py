from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.client import MetricsClient
from tests.analytics.database import Database, a_record, a_row
from tests.api.service import ports
from tests.client.served import served

TOKEN: Final = "the-token-of-the-tests-0123456789"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Twelve requests a minute apart: two models, one error of each four, two sessions."""
    folder: Path = tmp_path_factory.mktemp("client")
    opened = Database(folder)
    for number in range(12):
        bad = number % 4 == 3
        record = a_record(
            number * 60,
            model="ab"[number % 2],
            success=not bad,
            outcome="upstream_error" if bad else "completed",
            status_code=500 if bad else 200,
            error_type="internal" if bad else None,
            session_id=f"session {number % 2}",
            user=None if number == 5 else "anna",
            tags="team=x,place=a b",
            response_time_ms=1000.0 + number,
        )
        opened.append([a_row(record, error_category="upstream" if bad else None, cost_usd=0.25)])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(database: Database) -> Iterator[str]:
    with served(create_app(ports(database, token=TOKEN))) as address:
        yield address


@pytest.fixture
def metrics(url: str) -> Iterator[MetricsClient]:
    with MetricsClient(url, TOKEN) as client:
        yield client
