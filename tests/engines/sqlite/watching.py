"""A reader that remembers which statements were asked, and can say how SQLite answers them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llm_metrics_proxy.storage.base import Reader, Snapshot, SqlValue


class Watching:
    """``storage.base.Reader``."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.asked: list[tuple[str, Sequence[SqlValue]]] = []

    def query(self, sql: str, parameters: Sequence[SqlValue] = ()) -> list[tuple[Any, ...]]:
        self.asked.append((sql, parameters))
        return self._reader.query(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        with self._reader.snapshot() as now:
            moment = Watching(now)  # type: ignore[arg-type]
            moment.asked = self.asked
            yield moment

    def close(self) -> None:
        self._reader.close()

    def plans(self) -> list[str]:
        """SQLite's plan of each statement, the steps in one text."""
        return [
            " / ".join(str(step[-1]) for step in self._reader.query(f"EXPLAIN QUERY PLAN {sql}", parameters))
            for sql, parameters in self.asked
        ]
