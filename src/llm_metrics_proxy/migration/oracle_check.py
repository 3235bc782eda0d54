"""What differs from an oracle, in words."""

from collections.abc import Sequence
from typing import Final

from llm_metrics_proxy.storage.base import SqlValue

MOST_FAULTS: Final = 10  # of each kind; one is enough to take the run back, some more help to see why


def difference(
    labels: Sequence[str], expected: Sequence[SqlValue], actual: Sequence[SqlValue], verb: str = "is"
) -> str:
    """Each value that is not as expected, in words."""
    return "; ".join(
        f"{label} {verb} {is_!r} and should be {should!r}"
        for label, should, is_ in zip(labels, expected, actual, strict=True)
        if should != is_
    )
