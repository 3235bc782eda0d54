"""Service level objectives as they are given: a column of one record, a comparison, a limit."""

import operator
import re
from collections.abc import Callable
from math import isfinite
from typing import Final

import msgspec

from llm_metrics_proxy.analytics.metrics import DISTRIBUTIONS
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError

MAX_SLOS: Final = 10
COMPLETED: Final = "completed"  # in the place of an SLO: the request only has to be complete
COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_COLUMNS: Final = {metric.name: metric for metric in DISTRIBUTIONS}
_FORM: Final = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\d{1,15}(?:\.\d{1,9})?)\s*", re.ASCII)


class Slo(msgspec.Struct, frozen=True):
    """A request meets it if its value in ``column`` compares so with ``limit``; one without a value does not."""

    column: str
    comparison: str
    limit: float

    def __post_init__(self) -> None:
        if self.column not in _COLUMNS:
            raise QueryError("slo", unknown("timing or rate", self.column, _COLUMNS))
        if self.comparison not in COMPARISONS or not isfinite(self.limit):
            raise QueryError("slo", f"an SLO compares by {', '.join(COMPARISONS)} with a finite number")

    def __str__(self) -> str:
        return f"{self.column}{self.comparison}{self.limit:g}"


def parse_slo(text: str) -> Slo:
    """Such as ``time_to_first_token_ms<500``. Raises ``QueryError``."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise QueryError("slo", f"{text[:64]!r} is not an SLO: give one such as time_to_first_token_ms<500")
    return Slo(match[1], match[2], float(match[3]))
