"""Answers that are tables, and how they become data frames. All others are the API's own types as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from llm_metrics_proxy import extras
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.sessions import SessionPage, SessionRow
from llm_metrics_proxy.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl


class _Tabular:
    """What can be a table. Raises ``MissingExtraError`` where the library for it is not installed."""

    __slots__ = ()

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``; units and meanings stand in its fields' metadata."""
        raise NotImplementedError

    def to_polars(self) -> "pl.DataFrame":
        """A Polars data frame."""
        try:
            import polars as pl  # noqa: PLC0415 -- only its users have it
        except ImportError as error:
            raise MissingExtraError("Polars is not installed: pip install polars") from error
        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_pandas(self) -> "pd.DataFrame":
        """A pandas data frame; what is missing is missing (NA), so that whole numbers stay whole."""
        try:
            import pandas as pd  # noqa: PLC0415 -- only its users have it
        except ImportError as error:
            raise MissingExtraError("pandas is not installed: pip install pandas") from error
        extras.need("parquet", "Arrow")
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415

        nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=nullable.get)
        return frame


class QueryResult(Result, _Tabular, frozen=True, kw_only=True):
    """Rows, each with its numbers. As a table, the same one that the API gives as Arrow: see ``export.arrow``."""

    def to_arrow(self) -> Any:
        """A column for each dimension, and for each metric its value and ``<metric>.n``."""
        extras.need("parquet", "Arrow")
        from llm_metrics_proxy.export.arrow import table_of  # noqa: PLC0415 -- pyarrow takes 0.3 s

        return table_of(self)


class RecordPage(msgspec.Struct, _Tabular, frozen=True, kw_only=True):
    """Some records, each by the names of the columns; ``next_cursor`` is ``None`` on the last page."""

    app_version: str
    items: list[dict[str, Any]]
    next_cursor: str | None
    history: History | None = None

    def to_arrow(self) -> Any:
        """Typed as an export is."""
        extras.need("parquet", "Arrow")
        from llm_metrics_proxy.export.parquet import table_of_items  # noqa: PLC0415

        return table_of_items(self.items)


class SessionTable(SessionPage, _Tabular, frozen=True, kw_only=True):
    """Some sessions in order; ``next_cursor`` is ``None`` on the last page."""

    def to_arrow(self) -> Any:
        """A row for each session."""
        extras.need("parquet", "Arrow")
        from llm_metrics_proxy.export.arrow import table_of_structs  # noqa: PLC0415

        return table_of_structs(self.items, SessionRow, times=("first_request", "last_request", "ended_at"))


class ExportedRecords(_Tabular):
    """All records of a selection, as a Parquet file in memory."""

    __slots__ = ("parquet",)

    def __init__(self, parquet: bytes) -> None:
        self.parquet = parquet

    def to_arrow(self) -> Any:
        """One row for each record; units and meanings stand in the fields' metadata."""
        extras.need("parquet", "Arrow")
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415

        return pq.read_table(pa.BufferReader(self.parquet))

    def save(self, path: str | Path) -> Path:
        """Write the file. Raises ``OSError``."""
        target = Path(path)
        target.write_bytes(self.parquet)
        return target
