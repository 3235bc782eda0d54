"""JSON lines: one object per record, with the shape that the API gives a record. Loses nothing."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.rows import items_of
from llm_metrics_proxy.export.encoder import Encoder

_encode_lines: Final = msgspec.json.Encoder().encode_lines


class JsonLines(Encoder):
    """A line ends in LF; text is UTF-8."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names)
        self._item = items_of(names)

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """One line per row."""
        return _encode_lines([self._item(row) for row in rows])
