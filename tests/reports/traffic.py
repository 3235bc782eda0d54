"""Two weeks of traffic in a real database, and what strangers may have written into it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.reports import Report, ReportQuery, build
from tests.analytics.database import NOON, Database, a_record, a_row

NOW: Final = NOON + timedelta(days=7)  # the week before begins at NOON - 7 days
HOSTILE: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\u202egnp.exe\u202c",
    "\u05e9\u05dc\u05d5\u05dd",
    "x" * 10_000,
    "a\x00b\x1b[2J\r\nc",
    "a|b`c`*d*_e_[f](http://evil.example)",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--",
    "&amp;&lt;",
    "",
)


def two_weeks(database: Database) -> None:
    """A request an hour: 168 in the week before, all well; 168 in this one, of which 12 failed."""
    day = 24 * 3600
    before = [a_record(-7 * day + number * 3600, origin="editor") for number in range(168)]
    this_week = []
    for number in range(168):
        facts: dict[str, Any] = {"origin": "editor" if number % 3 else "chat", "user": f"user-{number % 12}"}
        failed = number % 14 == 0
        if failed:
            facts |= {
                "success": False, "outcome": "upstream_error", "error_type": "overloaded", "status_code": 503,
                "error_message": "try later", "completion_tokens": None, "prompt_tokens": None, "total_tokens": None,
                "time_to_first_token_ms": None, "time_to_last_token_ms": None,
            }  # fmt: skip
        facts["response_time_ms"] = 1000.0 + number
        record = a_record(number * 3600, model="qwen" if number % 4 == 0 else "llama3.1:8b", **facts)
        this_week.append(a_row(record, error_category="upstream" if failed else None, error_phase="connect"))
    database.add(*before, app_version="3.0.0")
    database.append(this_week)


def hostile(database: Database) -> None:
    """Every hostile text in every place that a report shows."""
    database.append(
        a_row(
            a_record(
                number, model=text, origin=text, user=text, api_key_id=text, backend_name=text, error_message=text,
                finish_reason=text, outcome=text, error_type=text, success=False, response_model=text,
            ),
            error_category=text,
            error_phase=text,
            app_version=text,
        )
        for number, text in enumerate(HOSTILE)
    )  # fmt: skip


def report_of(database: Database, now: datetime = NOW, **facts: Any) -> Report:
    """A report about what is there."""
    selection = RequestFilter(**facts.pop("filter", {}))
    return build(database.records, ReportQuery(filter=selection, **facts), now.astimezone(UTC))
