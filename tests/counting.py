"""Counting as the ingester does: records are observed, their states are stored, and only then is anything shown."""

from llm_metrics_proxy.counters import CounterBook
from llm_metrics_proxy.record import RequestRecord


def count(book: CounterBook, *records: RequestRecord, error_category: str | None = None) -> list[tuple[str, bytes]]:
    """A transaction that goes well; returns the states that it stored."""
    for record in records:
        book.observe(record, error_category)
    stored = book.take_changes()
    book.confirm()
    return stored
