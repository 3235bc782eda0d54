"""How any number of fields is stored, where a row has room for 32: in banks.

Field 70 is number 6 of bank 2. A row holds one bank of a group. Rows of bank b have their grain's number plus
1000 b, with the same level, bucket and key, so a row names its bank. Bank 0 is what every release has
written, byte for byte; every group has it, and counts are there alone. Another bank has the groups with a value in it.

So no row is ever converted: those of pruned days stay as they are. A program that knows fewer banks never asks for the
others, and clears them with the rest, by bucket.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from llm_metrics_proxy.rollups.groups import BANK_FIELDS
from llm_metrics_proxy.rollups.sketch import SLOTS
from llm_metrics_proxy.rollups.tally import RollupPlace, Tally

_STRIDE: Final = 1000  # above all numbers of grains


def stored_grain(grain: int, bank: int) -> int:
    """The number under which rows of that bank are stored."""
    return grain + _STRIDE * bank


def by_bank(fields: Iterable[int]) -> dict[int, list[int]]:
    """Fields of each bank."""
    found: dict[int, list[int]] = {}
    for number in fields:
        found.setdefault(number // BANK_FIELDS, []).append(number)
    return found


def in_bank(tally: Tally, bank: int) -> Tally:
    """What one bank stores of it; places have the stored number of their grain."""
    field = tally.cells.field
    if bank == 0 and field.max(initial=0) < BANK_FIELDS:
        return tally
    cells = tally.cells.where(field // BANK_FIELDS == bank)
    bins = tally.bins.where(tally.bins.slot // (BANK_FIELDS * SLOTS) == bank)
    if bank == 0:
        return tally._replace(cells=cells, bins=bins)
    size = len(tally.places)
    places = [RollupPlace(stored_grain(grain, bank), level, begin, key) for grain, level, begin, key in tally.places]
    none = np.zeros(size, np.int64)
    return Tally(places, none, none, none, cells, bins).where(np.isin(np.arange(size), cells.group))
