"""An export as a stream of bytes, with how far it is."""

import codecs
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export.formats import FORMATS
from llm_metrics_proxy.export.pages import bounds, pages
from llm_metrics_proxy.record import ALL_COLUMNS
from llm_metrics_proxy.storage.base import Reader


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
    unfit: Mapping[str, int]  # so far, by column: values that do not fit it, and are missing in the file


def export(reader: Reader, query: ExportQuery) -> Iterator[ExportChunk]:
    """The file, page by page. The first ``next`` fixes the set of records. Raises ``StoreError``."""
    encoder = FORMATS[query.format].encoder(query.columns)
    within, records = bounds(reader, query.filter), 0
    yield ExportChunk((codecs.BOM_UTF8 if query.bom else b"") + encoder.head(), 0, 0.0, encoder.unfit)
    if within is not None:
        ids = within.last - within.first + 1
        for page in pages(reader, query.filter, query.columns, within):
            records += len(page.rows)
            share = (page.through - within.first + 1) / ids
            yield ExportChunk(encoder.page(page.rows), records, share, encoder.unfit)
    yield ExportChunk(encoder.tail(), records, 1.0, encoder.unfit)
