"""Questions to the table of records: a query is a frozen value, compiled to SQL, answered by a frozen result.

Metrics are defined once, in ``metrics``. Nothing here knows which store answers; it sees ``storage.base.Reader``.
Imported by ``api`` and ``cli``.
"""

from llm_metrics_proxy.analytics.error_answer import Errors
from llm_metrics_proxy.analytics.errors import MAX_EXAMPLES, ErrorsQuery, read_errors
from llm_metrics_proxy.analytics.filters import WORDS, RequestFilter, parse_time
from llm_metrics_proxy.analytics.migrations import KnownMigration, MigrationRun, read_runs
from llm_metrics_proxy.analytics.notices import Notice, notices
from llm_metrics_proxy.analytics.requests import MAX_LIMIT, Page, get_request, list_requests
from llm_metrics_proxy.analytics.retry_advice import RetryAdvice
from llm_metrics_proxy.analytics.summary import Distribution, ErrorCount, Summary, TokenSum, summarise
from llm_metrics_proxy.analytics.versions import VERSION_HISTORY, VersionNote, older_records, records_by_version

__all__ = [
    "MAX_EXAMPLES",
    "MAX_LIMIT",
    "VERSION_HISTORY",
    "WORDS",
    "Distribution",
    "ErrorCount",
    "Errors",
    "ErrorsQuery",
    "KnownMigration",
    "MigrationRun",
    "Notice",
    "Page",
    "RequestFilter",
    "RetryAdvice",
    "Summary",
    "TokenSum",
    "VersionNote",
    "get_request",
    "list_requests",
    "notices",
    "older_records",
    "parse_time",
    "read_errors",
    "read_runs",
    "records_by_version",
    "summarise",
]
