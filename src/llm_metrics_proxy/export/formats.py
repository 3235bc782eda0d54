"""The table of formats."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from llm_metrics_proxy.export.comma_separated import CommaSeparated
from llm_metrics_proxy.export.json_lines import JsonLines


class Encoder(Protocol):
    """Makes one file: ``head`` once, ``page`` for every page, ``tail`` once; in that order."""

    @property
    def unfit(self) -> Counter[str]:
        """So far, by column: values that do not fit it, and are missing in the file."""

    def head(self) -> bytes:
        """What stands before the records."""

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Some records, as far as they can be written yet; each row has the values of the columns, in order."""

    def tail(self) -> bytes:
        """What stands behind the records."""


class ExportFormat(NamedTuple):
    """``name`` is also how a file's name ends; ``encoder`` makes one for the columns named."""

    name: str
    media_type: str
    is_text: bool
    encoder: Callable[[Sequence[str]], Encoder]


def _parquet(names: Sequence[str]) -> Encoder:
    # Loaded here: pyarrow takes 0.3 s and 40 MB, which only those pay who ask for it.
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
