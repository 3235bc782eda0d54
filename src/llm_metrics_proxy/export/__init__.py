"""Records as files for other programs: JSON lines, CSV and Parquet, of any size in constant memory.

A format is a row of the table in ``formats``: bytes in front, bytes for a page of rows, bytes behind. Where the pages
come from (``analytics.records``) is the same for all. The answer to a query has formats of its own, in ``results``.
Imported by ``api``, ``cli`` and ``client``; only ``parquet`` and ``arrow`` know pyarrow, and are loaded only where they
are asked for.
"""

from llm_metrics_proxy.export.columns import choose
from llm_metrics_proxy.export.formats import FORMATS, ExportFormat
from llm_metrics_proxy.export.results import RESULT_FORMATS, ResultFormat
from llm_metrics_proxy.export.stream import ExportChunk, ExportQuery, export

__all__ = [
    "FORMATS",
    "RESULT_FORMATS",
    "ExportChunk",
    "ExportFormat",
    "ExportQuery",
    "ResultFormat",
    "choose",
    "export",
]
