import msgspec
import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.reports import FORMATS, Report
from llm_metrics_proxy.reports.page import content_security_policy
from tests.analytics.database import Database
from tests.api.service import client, ports
from tests.api.test_server import ask, running
from tests.reports.traffic import two_weeks


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_comes_with_its_type(database: Database, form: str) -> None:
    two_weeks(database)
    with running(create_app(ports(database))) as (port, _, _):
        response, body = ask(port, f"/api/v1/report?format={form}&start=2026-03-01T12:00:00&end=2026-03-08T12:00:00")
    assert response.status == 200
    assert response.headers["content-type"] == FORMATS[form].media_type
    assert b"168" in body
    policy = response.headers["content-security-policy"]
    assert policy == (content_security_policy() if form == "html" else policy)
    assert "default-src 'none'" in policy


def test_json_is_the_report_that_the_document_describes(database: Database) -> None:
    two_weeks(database)
    body = client(database).get("/api/v1/report?format=json&start=2026-03-01&model=qwen&timezone=Europe/Berlin").content
    report = msgspec.json.decode(body, type=Report)
    assert (report.timezone, report.filter.model) == ("Europe/Berlin", "qwen")
    document = client(database).get("/openapi.json").json()
    assert "Report" in document["components"]["schemas"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("format=pdf", "format"),
        ("timezone=Mars", "timezone"),
        ("start=2099-01-01", "start"),
        ("limit=1", "limit"),
        ("end=0001-01-02", "end"),
    ],
)
def test_a_wrong_parameter_is_named(database: Database, query: str, parameter: str) -> None:
    response = client(database).get(f"/api/v1/report?{query}")
    assert response.status_code == 422
    assert response.json()["error"]["parameter"] == parameter
