"""A logarithmic histogram: values to slots and back, with a relative error of at most 1 %.

As DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch", 2019): slot i holds the values
above ``GAMMA ** (i - 1)`` up to ``GAMMA ** i``, and one value, within 1 % of each of
them, stands for all. Sketches are added up slot by slot, so that merging loses nothing, in whatever order.

* Slot 0 holds zero and everything below, and means 0: no duration is negative, unless another program wrote it.
* The guarantee holds from 1e-7 to 5e10 (in ms: a tenth of a nanosecond to 578 days). What is smaller or larger is in
  the first or last slot. No answer lies outside the smallest and largest value, which are kept exactly.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RELATIVE_ERROR: Final = 0.01
GAMMA: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
SLOTS: Final = 2048  # eleven bits, which leave five of two bytes for the field: ``banks``
_SHIFT: Final = 807  # the slot of 1
_LOG_GAMMA: Final = float(np.log(GAMMA))


def _values() -> Floats:
    exponents = np.arange(SLOTS, dtype=np.float64) - _SHIFT
    values: Floats = np.exp(exponents * _LOG_GAMMA) * (2 / (GAMMA + 1))
    values[0] = 0.0
    return values


VALUES: Final = _values()  # the value that represents each slot


def slots_of(values: Floats) -> NDArray[np.uint16]:
    """The slot of each value. Values are finite."""
    positive = values > 0
    logs = np.log(np.where(positive, values, 1.0)) * (1 / _LOG_GAMMA)
    slots = np.clip(np.ceil(logs) + _SHIFT, 1, SLOTS - 1)
    return np.where(positive, slots, 0).astype(np.uint16)


def quantile(slots: Ints, counts: Ints, fraction: float, smallest: float, largest: float) -> float | None:
    """Linear between the two nearest values as SQL's ``percentile_cont``; ``None`` of nothing.

    ``slots`` ascend; ``smallest`` and ``largest`` are the exact ones. Each of the two nearest values is within the
    relative error, and so is everything between them.
    """
    reached = np.cumsum(counts)
    if not len(reached):
        return None
    last = int(reached[-1]) - 1
    place = fraction * last
    low = int(place)

    def value_at(rank: int) -> float:
        if rank in (0, last):
            return smallest if rank == 0 else largest
        slot = slots[np.searchsorted(reached, rank, side="right")]
        return min(max(float(VALUES[slot]), smallest), largest)

    below = value_at(low)
    return below + (value_at(min(low + 1, last)) - below) * (place - low)
