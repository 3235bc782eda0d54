"""The columns that can be measured, by what is made of them.

They are taken from the registry in ``record``: a new column of one of these kinds is a metric without a line here.
"""

from typing import Final

from llm_metrics_proxy.columns import BYTES as BYTES_KIND
from llm_metrics_proxy.columns import MEASURED, MONEY, TOKENS, Column, Kind
from llm_metrics_proxy.record import REGISTRY


def _of(*kinds: Kind) -> tuple[Column, ...]:
    return tuple(column for column in REGISTRY.values() if column.kind in kinds)


DISTRIBUTIONS: Final = _of(*MEASURED)
TOKEN_SUMS: Final = _of(TOKENS)
BYTES: Final = _of(BYTES_KIND)
COSTS: Final = _of(MONEY)
COST: Final = REGISTRY["cost_usd"]
PERCENTILES: Final = (0.5, 0.95, 0.99)
