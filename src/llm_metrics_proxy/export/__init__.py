"""Records as files for other programs: JSON lines, CSV and Parquet, of any size in constant memory.

A format is a row of the table in ``formats``: bytes in front, bytes for a page of rows, bytes behind. Where the pages
come from (``analytics.records``) is the same for all. Imported by ``api`` and ``cli``; only
``parquet`` knows pyarrow, and is loaded only for that format.
"""

from llm_metrics_proxy.export.columns import choose
from llm_metrics_proxy.export.formats import FORMATS, ExportFormat
from llm_metrics_proxy.export.stream import ExportChunk, ExportQuery, export

__all__ = ["FORMATS", "ExportChunk", "ExportFormat", "ExportQuery", "choose", "export"]
