"""A report about a range of records, for people who were not there: as HTML, Markdown or JSON.

``build`` asks the questions and makes one frozen ``Report``; everything else turns that into text and touches no data:
``sentences``, ``charts``, ``page``, ``markdown``. Imported by ``api`` and ``cli``; only this room knows jinja2.
"""

from llm_metrics_proxy.reports.build import DEFAULT_DAYS, ReportQuery, build
from llm_metrics_proxy.reports.formats import FORMATS, rendered
from llm_metrics_proxy.reports.model import Report

__all__ = ["DEFAULT_DAYS", "FORMATS", "Report", "ReportQuery", "build", "rendered"]
