"""The table of formats that the answer to a query comes in, beside JSON."""

from collections.abc import Callable
from typing import Final, NamedTuple

from llm_metrics_proxy import extras
from llm_metrics_proxy.analytics.result import Result


class ResultFormat(NamedTuple):
    """``name``: of the parameter ``format``; ``encode``: the whole body."""

    name: str
    media_type: str
    encode: Callable[[Result], bytes]


def _arrow(result: Result) -> bytes:
    extras.need("parquet", "Arrow")
    # Loaded here: pyarrow takes 0.3 s and 40 MB, which only its users pay.
    from llm_metrics_proxy.export.arrow import stream_of  # noqa: PLC0415

    return stream_of(result)


def _parquet(result: Result) -> bytes:
    extras.need("parquet", "Parquet")
    from llm_metrics_proxy.export.arrow import parquet_of  # noqa: PLC0415

    return parquet_of(result)


RESULT_FORMATS: Final = {
    one.name: one
    for one in (
        ResultFormat("arrow", "application/vnd.apache.arrow.stream", _arrow),
        ResultFormat("parquet", "application/vnd.apache.parquet", _parquet),
    )
}
