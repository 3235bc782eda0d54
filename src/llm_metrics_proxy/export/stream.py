"""An export as a stream of bytes, with how far it is.

A record's arrival never changes and new records get greater ones, so an export is one fixed set: the selected records
that are there when it begins. One that is changed meanwhile comes as it was or as it is, and its ``app_version`` says
which; one that is deleted before it is reached does not come.
"""

import codecs
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from llm_metrics_proxy.analytics.arrivals import ArrivalRange, Arrivals
from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.analytics.records import Records
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export.formats import FORMATS
from llm_metrics_proxy.record import ALL_COLUMNS


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records, which of their columns (see ``columns.choose``), and as what. Raises ``QueryError``."""

    format: str
    columns: tuple[str, ...] = ALL_COLUMNS
    filter: RequestFilter = RequestFilter()
    bom: bool = False  # begin with a byte-order mark, by which Excel knows UTF-8; for csv alone

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise QueryError("format", f"there is no format {self.format[:64]!r}; there are: {', '.join(FORMATS)}")
        if self.bom and self.format != "csv":
            raise QueryError("bom", f"a byte-order mark is for csv; {self.format} must not have one")


class ExportChunk(NamedTuple):
    """The next bytes of the file, perhaps none, and what has been done with them."""

    data: bytes
    records: int  # so far
    share: float  # of the records to read, 0 to 1


def export(records: Records, query: ExportQuery) -> Iterator[ExportChunk]:
    """The file, part by part. The first ``next`` fixes the set of records. Raises ``StoreError``."""
    encoder = FORMATS[query.format].encoder(query.columns)
    within, done = ArrivalRange(Arrivals(), records.newest()), 0
    yield ExportChunk((codecs.BOM_UTF8 if query.bom else b"") + encoder.head(), 0, 0.0)
    for part in records.each(query.filter, query.columns, within):
        done += len(part.rows)
        yield ExportChunk(encoder.page(part.rows), done, part.share)
    yield ExportChunk(encoder.tail(), done, 1.0)
