import msgspec
import pytest

from llm_metrics_proxy.reports import FORMATS, Report, rendered
from tests.analytics.database import Database
from tests.reports.traffic import hostile, report_of, two_weeks


def test_json_is_the_whole_report_and_reads_back_as_it(database: Database) -> None:
    two_weeks(database)
    hostile(database)
    report = report_of(database)
    assert msgspec.json.decode(rendered(report, "json"), type=Report) == report


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_of_the_same_report_is_the_same_bytes(database: Database, form: str) -> None:
    two_weeks(database)
    report = report_of(database)
    assert rendered(report, form) == rendered(report, form)
    assert rendered(report, form).decode().strip()
