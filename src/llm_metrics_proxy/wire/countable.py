"""Counts of one part of an answer, made ready to be summed with those of the others (``UsageReports.add``).

A sum with nonsense in it must not pass for a count: -1 and 7 are not 6. So what cannot be a count becomes a number with
which no sum is one.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llm_metrics_proxy.wire.facts import REFUSED, token_count

_NONSENSE: Final = -(2**62)


def countable(report: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The members of ``report`` with these names; those that are objects, with all of theirs."""
    return {name: _countable(report[name]) for name in names if report.get(name) is not None}


def _countable(value: object) -> object:
    if isinstance(value, dict):
        return countable(value, value)
    return _NONSENSE if token_count(value) == REFUSED else value
