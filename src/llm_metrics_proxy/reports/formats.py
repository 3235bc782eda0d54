"""The table of a report's forms."""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.reports.markdown import markdown
from llm_metrics_proxy.reports.model import Report
from llm_metrics_proxy.reports.page import content_security_policy, html


class ReportFormat(NamedTuple):
    """``name`` is also how a file's name ends. ``policy``: the Content-Security-Policy that a browser needs for it."""

    name: str
    media_type: str
    render: Callable[[Report], bytes]
    policy: Callable[[], str] | None = None


def _json(report: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


FORMATS: Final = {
    one.name: one
    for one in (
        ReportFormat("html", "text/html; charset=utf-8", lambda report: html(report).encode(), content_security_policy),
        ReportFormat("md", "text/markdown; charset=utf-8", lambda report: markdown(report).encode()),
        ReportFormat("json", "application/json", _json),
    )
}


def rendered(report: Report, form: str) -> bytes:
    """The file; ``form`` is a key of ``FORMATS``."""
    return FORMATS[form].render(report)
