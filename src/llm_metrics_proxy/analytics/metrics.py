"""The columns that can be measured, by what is made of them.

They are taken from the registry in ``record``: a new column of one of these kinds is a metric without a line here.
"""

from typing import Final

from llm_metrics_proxy.columns import BUSY, MEASURED, MONEY, TOKENS, Column, Kind
from llm_metrics_proxy.columns import BYTES as BYTES_KIND
from llm_metrics_proxy.record import READABLE, REGISTRY


def _of(*kinds: Kind) -> tuple[Column, ...]:
    return tuple(column for column in READABLE.values() if column.kind in kinds)


DISTRIBUTIONS: Final = _of(*MEASURED)
TOKEN_SUMS: Final = _of(TOKENS)
KEPT_TOKEN_SUMS: Final = tuple(one for one in TOKEN_SUMS if one.rolled_up and not one.over)  # that a summary shows
BYTES: Final = _of(BYTES_KIND)
COSTS: Final = _of(MONEY)
BUSY_TIMES: Final = _of(BUSY)
COST: Final = REGISTRY["cost_usd"]
SAVINGS: Final = REGISTRY["cache_savings_usd"]
PERCENTILES: Final = (0.5, 0.95, 0.99)
