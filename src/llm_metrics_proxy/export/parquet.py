"""Parquet: typed columns with units and meanings, for DuckDB, Polars, pandas and the like. The only file with pyarrow.

The schema is fixed by ``record``, whatever the records hold. What does not fit its column is NULL; how often is told in
the file's metadata, key ``unfit_values``, as JSON by column. A row group is written as soon as it is full, so memory
does not grow with the number of records, but for the list of row groups that is the end of the file: 70 kB each in
memory until then, 4.4 MB a million records.
"""

import io
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.export.values import fit, moment
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import REGISTRY

GROUP_ROWS: Final = 16_000
pa.set_memory_pool(pa.system_memory_pool())  # pyarrow's own keeps 40 MB of what it has freed
_TYPES: Final = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
    "text": pa.string(),
    "any": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
}


def schema(names: Sequence[str]) -> Any:
    """Every column may be NULL; the metadata of a field has its ``unit``, if it has one, and its ``meaning``."""
    columns = [REGISTRY[name] for name in names]
    return pa.schema(
        [
            pa.field(
                column.name,
                _TYPES[column.kind.holds],
                metadata={"meaning": column.meaning} | ({"unit": column.unit} if column.unit else {}),
            )
            for column in columns
        ],
        metadata={"app_version": APP_VERSION},
    )


class _Sink(io.RawIOBase):
    """Where the writer writes: what was written is taken away page by page, and only its length remembered."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        return self._written

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class Parquet:
    """Compressed with Zstandard."""

    def __init__(self, names: Sequence[str]) -> None:
        self._columns = [REGISTRY[name] for name in names]
        self._schema = schema(names)
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0
        self.unfit: Counter[str] = Counter()

    def head(self) -> bytes:
        """The mark of the format."""
        return self._sink.take()

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """A row group, or nothing while it is not full."""
        if rows:
            arrays = [
                self._array(column, stored)
                for column, stored in zip(self._columns, zip(*rows, strict=True), strict=True)
            ]
            self._batches.append(pa.record_batch(arrays, schema=self._schema))
            self._waiting += len(rows)
        if self._waiting >= GROUP_ROWS:
            self._write_group()
        return self._sink.take()

    def tail(self) -> bytes:
        """The last row group and the index of all."""
        if self._waiting:
            self._write_group()
        self._writer.add_key_value_metadata({"unfit_values": msgspec.json.encode(dict(self.unfit)).decode()})
        self._writer.close()
        return self._sink.take()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        self._writer.write_table(table.combine_chunks(), row_group_size=len(table))
        self._batches.clear()
        self._waiting = 0

    def _array(self, column: Column, stored: Sequence[Any]) -> Any:
        values, unfit = fit(column, stored)
        if column.kind.holds == "time":
            array, unreadable = _times(values)
            unfit += unreadable
        elif column.kind.holds == "number":
            # float, as Arrow refuses whole numbers beyond 2**53
            array = pa.array([None if value is None else float(value) for value in values], pa.float64())
        else:
            array = pa.array(values, _TYPES[column.kind.holds])
        if unfit:
            self.unfit[column.name] += unfit
        return array


def _times(values: Sequence[str | None]) -> tuple[Any, int]:
    """Moments, and how many texts are none."""
    kind = _TYPES["time"]
    try:
        return pa.array(values, pa.string()).cast(kind), 0
    except pa.ArrowInvalid:  # once more, one by one: rare, and never in a database that this program made
        read = [moment(value) for value in values]
        return pa.array(read, kind), sum(new is None and old is not None for new, old in zip(read, values, strict=True))
