"""Rows as they wait and as they are sent: one line of JSON for each record, compressed. Pure.

JSON made by msgspec costs half of Arrow's columns, and a line can be taken out of it. ``encoded`` looks at every value
first, as SQLite does: what the server could not take would keep all that comes behind it waiting for ever.
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.engines.clickhouse.table import TABLE, column_type
from llm_metrics_proxy.errors import RecordsRefusedError
from llm_metrics_proxy.record import APP_VERSION_COLUMN, REGISTRY, ROW_COLUMNS
from llm_metrics_proxy.storage.base import SqlValue
from llm_metrics_proxy.zstandard import zstd

CODING: Final = "zstd"  # of HTTP
COLUMNS: Final = ("arrival", *ROW_COLUMNS)  # of a line; the host is said once
_LEVEL: Final = 1
_TIMESTAMP: Final = ROW_COLUMNS.index("timestamp")
_REQUEST_ID: Final = ROW_COLUMNS.index("request_id") + 1  # in a line
_TYPES: Final[dict[str, Any]] = {
    "integer": Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    "number": float,
    "flag": bool | Annotated[int, msgspec.Meta(ge=0, le=255)],
    "text": str,
}


def _type(column: Column) -> Any:
    if column.kind.holds == "time":
        # As every proxy writes it, and as DateTime64 can hold it: another form could not be given back as it was.
        return Annotated[
            str, msgspec.Meta(pattern=r"^(19[1-9]|2[0-2][0-9])[0-9]-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z$")
        ]
    kind = _TYPES[column.kind.holds]
    return kind if column.name == APP_VERSION_COLUMN else kind | None


_ROW: Final = tuple[tuple(_type(REGISTRY[name]) for name in ROW_COLUMNS)]  # type: ignore[misc]
_ROWS: Final = list[_ROW]  # type: ignore[valid-type]
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(list[Any])
_input: Final = ", ".join(f"`{name}` {column_type(REGISTRY[name])}" for name in COLUMNS)
_names: Final = ", ".join(f"`{name}`" for name in COLUMNS)
# How the server reads the lines: floats to the bit, times as they are written, and all of it or an error.
READ_SETTINGS: Final[dict[str, str | int | float]] = {
    "precise_float_parsing": 1,
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 0,
    "async_insert": 0,
    "insert_deduplicate": 0,
    "throw_on_max_partitions_per_insert_block": 0,
    "distributed_foreground_insert": 1,
}


def insertion(host: str, condition: str) -> str:
    """The statement for payloads of ``host``; ``condition`` is SQL that is true, or raises, once before the first row.

    ``host`` is a literal of SQL.
    """
    return (
        f"INSERT INTO {TABLE} (host, {_names}) SELECT {host}, {_names} FROM input('{_escaped(_input)}') "  # noqa: S608
        f"WHERE {condition} FORMAT JSONCompactEachRow"
    )


def encoded(first: int, rows: Sequence[Sequence[SqlValue]]) -> bytes:
    """Lines of the rows, in the order of ``record.ROW_COLUMNS``; the first one has the arrival ``first``.

    Raises ``RecordsRefusedError`` with every row that ClickHouse could not hold.
    """
    try:
        fit: list[tuple[Any, ...]] = msgspec.convert(rows, _ROWS)
        for row in fit:
            datetime.datetime.fromisoformat(row[_TIMESTAMP])
        lines = _encoder.encode_lines([[arrival, *row] for arrival, row in enumerate(fit, first)])
    except ValueError as error:  # msgspec's and Unicode's errors are
        raise RecordsRefusedError(_refused(rows)) from error
    return _compressed(lines)


def joined(payloads: Sequence[bytes]) -> bytes:
    """All of them as one."""
    if len(payloads) == 1:
        return payloads[0]
    return _compressed(b"".join(map(zstd.decompress, payloads)))


def request_ids(payload: bytes) -> dict[int, str | None]:
    """By arrival."""
    return {row[0]: row[_REQUEST_ID] for row in _rows(payload)}


def renumbered(payload: bytes, numbers: Mapping[int, int]) -> bytes:
    """Only the records whose arrivals are among ``numbers``, with those as their new ones."""
    rows = [[numbers[row[0]], *row[1:]] for row in _rows(payload) if row[0] in numbers]
    return _compressed(_encoder.encode_lines(rows))


def _rows(payload: bytes) -> list[list[Any]]:
    return _decoder.decode_lines(zstd.decompress(payload))


def _compressed(lines: bytes) -> bytes:
    return zstd.compress(lines, _LEVEL)


def _refused(rows: Sequence[Sequence[SqlValue]]) -> list[tuple[int, str]]:
    refused = []
    for index, row in enumerate(rows):
        try:
            msgspec.convert(row, _ROW)
            datetime.datetime.fromisoformat(row[_TIMESTAMP])  # type: ignore[arg-type]
            _encoder.encode(row)
        except ValueError as error:
            refused.append((index, str(error)))
    return refused


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
