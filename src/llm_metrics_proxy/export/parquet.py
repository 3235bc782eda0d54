"""Parquet: typed columns with units and meanings, for DuckDB, Polars, pandas and the like. The only file with pyarrow.

The schema is fixed by ``record``, whatever the records hold. A row group is written as soon as it is full, so memory
does not grow with the number of records, except for the list of row groups at the end of the file: 70 kB each, 4.4 MB
per million records.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from llm_metrics_proxy.analytics.rows import UNFIT
from llm_metrics_proxy.export.encoder import Encoder
from llm_metrics_proxy.export.values import flags, texts
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


class Parquet(Encoder):
    """Compressed with Zstandard."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._columns = [REGISTRY[name] for name in names]
        self._schema = schema(names)
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._waiting = 0

    def head(self) -> bytes:
        """The mark of the format."""
        return self._sink.take()

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """A row group, or nothing while it is not full."""
        if rows:
            arrays = [
                _array(column.kind.holds, stored)
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
        self._writer.close()
        return self._sink.take()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._batches, schema=self._schema)
        self._writer.write_table(table.combine_chunks(), row_group_size=len(table))
        self._batches.clear()
        self._waiting = 0


def table_of_items(items: Sequence[Mapping[str, Any]]) -> Any:
    """Records as the API shows them, as a ``pyarrow.Table`` with the schema of a file; columns of a newer program are
    left out."""
    known = [name for name in (items[0] if items else REGISTRY) if name in REGISTRY]
    stored = {name: [item.get(name) for item in items] for name in known}
    if UNFIT in stored:
        stored[UNFIT] = [None if value is None else msgspec.json.encode(value).decode() for value in stored[UNFIT]]
    arrays = [_array(REGISTRY[name].kind.holds, stored[name]) for name in known]
    return pa.Table.from_arrays(arrays, schema=schema(known))


def _array(holds: str, stored: Sequence[Any]) -> Any:
    if holds == "flag":
        return pa.array(flags(stored), pa.bool_())
    if holds == "time":
        return pa.array(stored, pa.string()).cast(_TYPES["time"])
    return pa.array(texts(stored) if holds == "any" else stored, _TYPES[holds])
