"""The table of formats."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from llm_metrics_proxy import extras
from llm_metrics_proxy.export.comma_separated import CommaSeparated
from llm_metrics_proxy.export.encoder import Encoder
from llm_metrics_proxy.export.json_lines import JsonLines


class ExportFormat(NamedTuple):
    """``name`` is also how a file's name ends; ``encoder`` makes one for the columns named."""

    name: str
    media_type: str
    is_text: bool
    encoder: Callable[[Sequence[str]], Encoder]


def _parquet(names: Sequence[str]) -> Encoder:
    extras.need("parquet", "Parquet")
    # Loaded here: pyarrow takes 0.3 s and 40 MB, which only its users pay.
    from llm_metrics_proxy.export.parquet import Parquet  # noqa: PLC0415

    return Parquet(names)


FORMATS: Final = {
    one.name: one
    for one in (
        ExportFormat("jsonl", "application/x-ndjson", True, JsonLines),
        ExportFormat("csv", "text/csv; charset=utf-8; header=present", True, CommaSeparated),
        ExportFormat("parquet", "application/vnd.apache.parquet", False, _parquet),
    )
}
