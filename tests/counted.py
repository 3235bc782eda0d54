"""What a book of counters shows, for tests."""

from llm_metrics_proxy.counters import CounterBook, Series, SeriesKey, decoded


def snapshot(book: CounterBook) -> list[tuple[SeriesKey, Series]]:
    """Every series as it was last stored, all of one commit, sorted by key."""
    return [(SeriesKey(*key), decoded(shown.state)) for key, shown in sorted(book.shown().items())]
