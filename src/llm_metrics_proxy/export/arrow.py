"""The answer to a query as an Arrow table, as an Arrow stream and as a Parquet file.

A row of the answer is a row of the table. The schema follows from the query alone, whatever the records hold:

* a column for each dimension: text, flag, int64, float64 for bins (``<0`` is minus infinity), and for ``time`` a
  timestamp in the query's zone;
* for each metric its value (int64 for counts and for sums of whole numbers, else float64) and ``<metric>.n``, how many
  records it rests on; of a comparison ``<metric>.previous``, ``<metric>.previous_n`` and ``<metric>.change`` too;
* ``merged``, as in the answer; ``partial`` where there is time; ``presence`` where groups are compared.

Units, meanings and kinds stand in the fields' metadata. The schema's has ``app_version`` and ``answer``: all that the
JSON answer says beside its columns and rows, as JSON.
"""

import math
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import msgspec.inspect
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from llm_metrics_proxy.analytics.dimensions import dimension
from llm_metrics_proxy.analytics.measures import measure
from llm_metrics_proxy.analytics.result import Key, Measured, Result, ResultColumn, ResultRow

pa.set_memory_pool(pa.system_memory_pool())  # as for exports: pyarrow's own keeps what it has freed


class _Field(NamedTuple):
    name: str
    type: Any
    metadata: dict[str, str]
    value: Callable[[ResultRow], Any]


_OF_FIELDS: Final[dict[Any, Any]] = {
    msgspec.inspect.StrType: pa.string(),
    msgspec.inspect.IntType: pa.int64(),
    msgspec.inspect.FloatType: pa.float64(),
    msgspec.inspect.BoolType: pa.bool_(),
}
_NUMBERS: Final = {"integer": pa.int64(), "number": pa.float64()}


def table_of(result: Result) -> Any:
    """A ``pyarrow.Table``."""
    fields = list(_fields(result))
    schema = pa.schema(
        [pa.field(one.name, one.type, metadata=one.metadata) for one in fields],
        metadata={"app_version": result.app_version, "answer": _answer(result)},
    )
    arrays = [pa.array([one.value(row) for row in result.rows], one.type) for one in fields]
    return pa.Table.from_arrays(arrays, schema=schema)


def table_of_structs(items: Sequence[msgspec.Struct], kind: type[msgspec.Struct], times: Container[str] = ()) -> Any:
    """Flat values of one type, a row each; ``times``: fields with moments as text."""
    told: Any = msgspec.inspect.type_info(kind)
    fields = [(one.name, _type_of(one.type, is_time=one.name in times)) for one in told.fields]
    columns = {}
    for name, holds in fields:
        values = [getattr(item, name) for item in items]
        is_text = pa.types.is_timestamp(holds)
        columns[name] = pa.array(values, pa.string()).cast(holds) if is_text else pa.array(values, holds)
    return pa.table(columns, schema=pa.schema(fields))


def _type_of(kind: Any, *, is_time: bool) -> Any:
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    if is_time:
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return pa.list_(_type_of(kind.item_type, is_time=False))
    return _OF_FIELDS[type(kind)]


def stream_of(result: Result) -> bytes:
    """In Arrow's streaming format."""
    table = table_of(result)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return _bytes(sink)


def parquet_of(result: Result) -> bytes:
    """Compressed with Zstandard."""
    sink = pa.BufferOutputStream()
    pq.write_table(table_of(result), sink, compression="zstd")
    return _bytes(sink)


def _bytes(sink: Any) -> bytes:
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _known(value: Any) -> Any:
    return None if value is msgspec.UNSET else value


def _answer(result: Result) -> bytes:
    said = msgspec.to_builtins(result)
    return msgspec.json.encode({name: value for name, value in said.items() if name not in {"columns", "rows"}})


def _fields(result: Result) -> Iterator[_Field]:
    for column in result.columns:
        if column.kind == "dimension":
            yield _dimension(column, result.timezone)
        else:
            yield from _metric(column, compared=result.query.compare)
    yield _Field("merged", pa.int64(), {"meaning": "groups beyond the limit in this row"}, lambda row: row.merged)
    if "time" in result.query.group_by:
        meaning = "part of the bucket lies outside the range, or ahead"
        yield _Field("partial", pa.bool_(), {"meaning": meaning}, lambda row: row.partial is True)
    if result.query.compare:
        meaning = "new: no records in the period before; gone: none in this one"
        yield _Field("presence", pa.string(), {"meaning": meaning}, lambda row: _known(row.presence))


def _dimension(column: ResultColumn, timezone: str) -> _Field:
    kinds: dict[str, tuple[Any, Callable[[Key], Any]]] = {
        "text": (pa.string(), lambda key: key),
        "flag": (pa.bool_(), lambda key: key),
        "number": (pa.int64(), lambda key: key),
        "bin": (pa.float64(), lambda key: -math.inf if isinstance(key, str) else key),
        "time": (pa.timestamp("us", tz=timezone), lambda key: datetime.fromisoformat(str(key))),
    }
    name = column.name
    kind, read = kinds[dimension(name).kind]

    def value(row: ResultRow) -> Any:
        key = row.key[name]
        return None if key is None else read(key)

    return _Field(name, kind, {"kind": "dimension", "meaning": column.meaning}, value)


def _metric(column: ResultColumn, *, compared: bool) -> Iterator[_Field]:
    name, unit = column.name, {"unit": column.unit} if column.unit else {}
    holds = measure(name).holds

    def field(end: str, kind: Any, metadata: dict[str, str], take: Callable[[Measured], Any]) -> _Field:
        return _Field(name + end, kind, {"kind": "metric", **metadata}, lambda row: take(row.values[name]))

    def number(value: float | None) -> float | None:
        return int(value) if holds == "integer" and value is not None else value

    records, kind = {"unit": "requests"}, _NUMBERS[holds]
    yield field("", kind, {**unit, "meaning": column.meaning}, lambda one: number(one.value))
    yield field(".n", pa.int64(), {**records, "meaning": f"records that {name} rests on"}, lambda one: one.n)
    if compared:
        before = {**unit, "meaning": f"{name} in the period before"}
        yield field(".previous", kind, before, lambda one: number(_known(one.previous)))
        meaning = f"records that {name}.previous rests on"
        yield field(".previous_n", pa.int64(), {**records, "meaning": meaning}, lambda one: _known(one.previous_n))
        meaning = f"({name} - {name}.previous) / |{name}.previous|"
        yield field(".change", pa.float64(), {"meaning": meaning}, lambda one: _known(one.change))
