"""JSON lines: one object per record, with the shape that the API gives a record. Loses nothing."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llm_metrics_proxy.analytics.rows import UNFIT, items_of

_encode_lines: Final = msgspec.json.Encoder().encode_lines


class JsonLines:
    """A line ends in LF; text is UTF-8. What does not fit its column is null and listed in ``unfit_values``."""

    def __init__(self, names: Sequence[str]) -> None:
        self._item = items_of(names)
        self.unfit: Counter[str] = Counter()

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def page(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """One line per row."""
        items = [self._item(row) for row in rows]
        for shown in items:
            if UNFIT in shown:
                self.unfit.update(shown[UNFIT].keys())
        return _encode_lines(items)

    def tail(self) -> bytes:
        """Nothing."""
        return b""
