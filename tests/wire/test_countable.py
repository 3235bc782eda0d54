"""Sums of counts, in which nonsense stays nonsense."""

import pytest

from llm_metrics_proxy.wire.countable import countable
from llm_metrics_proxy.wire.facts import REFUSED, token_count
from llm_metrics_proxy.wire.usage_reports import UsageReports


def summed(*values: object) -> int | None:
    reports = UsageReports()
    for value in values:
        reports.add("usage", countable({"tokens": value, "other": "x", "inner": {"deep": value}}, ("tokens", "inner")))
    usage = reports.merged["usage"]
    assert "other" not in usage
    assert token_count(usage.get("tokens")) == token_count(usage["inner"].get("deep"))
    return token_count(usage.get("tokens"))


@pytest.mark.parametrize(("values", "total"), [((1, 2, 3), 6), ((0, 5), 5), ((2.0, 1), 3), ((None, 4), 4), ((), None)])
def test_counts_are_added(values: tuple[object, ...], total: int | None) -> None:
    assert (summed(*values) if values else None) == total


@pytest.mark.parametrize("nonsense", [-1, 1.5, "7", True, 2**41, [3], float("inf")])
@pytest.mark.parametrize("others", [(7,), (7, 8), (2**40,)])
def test_nonsense_is_never_made_good_by_others(nonsense: object, others: tuple[int, ...]) -> None:
    for values in ((nonsense, *others), (*others, nonsense), (others[0], nonsense, *others[1:])):
        assert summed(*values) == REFUSED
    assert summed(nonsense, nonsense) == REFUSED
