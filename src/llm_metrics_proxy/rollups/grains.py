"""The table of grains: the dimensions by which records are rolled up, and how finely in time.

Each grain, level, bucket and key has a row. ``app_version`` is part of every key, so that an answer can say how many of
its records follow older formulas; there is hardly ever more than one.
"""

from collections.abc import Set
from typing import Final, NamedTuple

from llm_metrics_proxy.rollups.values import ALL, BY_NAME, FEW, KEYS, LATENCIES, MAIN

QUARTER_S: Final = 900  # every zone's offset from UTC is a multiple of it
NO_TIME: Final = -(2**40)  # the bucket of records whose time cannot be read; only a range open to both sides has it


class RollupLevel(NamedTuple):
    """``number`` is stored. Buckets begin at multiples of ``seconds`` since 1970 in UTC."""

    number: int
    name: str
    seconds: int


QUARTER: Final = RollupLevel(0, "quarter", QUARTER_S)
HOUR: Final = RollupLevel(1, "hour", 4 * QUARTER_S)
DAY: Final = RollupLevel(2, "day", 96 * QUARTER_S)
MINUTE: Final = RollupLevel(3, "minute", 60)
LEVELS: Final = (QUARTER, HOUR, DAY, MINUTE)


class GrainLevel(NamedTuple):
    """One level of a grain, and the fields that have a sketch there. ``dense``: only in quarters, or on days, with many
    records."""

    level: RollupLevel
    sketches: tuple[int, ...]
    dense: RollupLevel | None = None


class Dense(NamedTuple):
    """Which quarters and days have many records, each named by its first second."""

    quarters: Set[int] = frozenset()
    days: Set[int] = frozenset()

    def of(self, level: RollupLevel) -> Set[int]:
        """The quarters or the days."""
        return {QUARTER: self.quarters, DAY: self.days}[level]


class Grain(NamedTuple):
    """``number`` is stored. ``moments``: fields with n, sum, min and max, at every level."""

    number: int
    dimensions: tuple[str, ...]
    moments: tuple[int, ...]
    kept: tuple[GrainLevel, ...]  # the finest level first


# A day is dense if it has so many records when its first are rolled up, or the day before had. On others the hours of a
# client, of whom there may be thousands, would be as large as the records themselves, which are read as fast.
DENSE_DAY: Final = 20_000
# The same for quarters and levels finer than days: below, reading a quarter's records takes some 5 ms.
DENSE_QUARTER: Final = 5_000

_STREAMED: Final = (*LATENCIES, BY_NAME["inter_chunk_max_ms"].number)
_STREAMING: Final = (*_STREAMED, BY_NAME["response_bytes"].number)
_CLIENT: Final = (*FEW, BY_NAME["output_tokens_per_second"].number)
_STREAM_SUMS: Final = (*MAIN, BY_NAME["inter_chunk_max_ms"].number)

_MINUTES: Final = GrainLevel(MINUTE, LATENCIES, dense=QUARTER)
_COUNTED_MINUTES: Final = GrainLevel(MINUTE, (), dense=QUARTER)
_QUARTERS: Final = GrainLevel(QUARTER, (), dense=QUARTER)
_DENSE_HOURS: Final = GrainLevel(HOUR, (), dense=DAY)

_TOTAL: Final = (_MINUTES, GrainLevel(QUARTER, LATENCIES), GrainLevel(HOUR, LATENCIES), GrainLevel(DAY, ALL))
_MODEL: Final = (
    _MINUTES,
    GrainLevel(QUARTER, LATENCIES, dense=DAY),
    GrainLevel(HOUR, LATENCIES),
    GrainLevel(DAY, LATENCIES),
)
_FINE: Final = (_MINUTES, GrainLevel(HOUR, LATENCIES), GrainLevel(DAY, LATENCIES))
_ENDS: Final = (_COUNTED_MINUTES, GrainLevel(QUARTER, (), dense=DAY), GrainLevel(HOUR, ()), GrainLevel(DAY, FEW))
_CLIENTS: Final = (_QUARTERS, _DENSE_HOURS, GrainLevel(DAY, _CLIENT))


def _streams(sketches: tuple[int, ...], hours: RollupLevel | None) -> tuple[GrainLevel, ...]:
    """With sketches at every level; ``hours``: where hours are kept."""
    return (
        GrainLevel(MINUTE, sketches, dense=QUARTER),
        GrainLevel(HOUR, sketches, dense=hours),
        GrainLevel(DAY, sketches),
    )


GRAINS: Final = (
    Grain(0, (), ALL, _TOTAL),
    Grain(1, ("model",), MAIN, _MODEL),
    Grain(2, ("backend_name",), MAIN, _MODEL),
    Grain(3, ("endpoint",), MAIN, _FINE),
    Grain(4, ("streaming",), _STREAM_SUMS, _streams(_STREAMING, None)),
    Grain(5, ("outcome",), FEW, _ENDS),
    Grain(6, ("error_category", "error_type"), FEW, _ENDS),
    Grain(7, ("status_code",), FEW, _ENDS),
    Grain(8, ("finish_reason",), FEW, _ENDS),
    Grain(9, ("origin",), MAIN, (_MINUTES, _DENSE_HOURS, GrainLevel(DAY, _CLIENT))),
    Grain(10, ("api_key_id",), MAIN, _CLIENTS),
    Grain(11, ("user",), MAIN, (_DENSE_HOURS, GrainLevel(DAY, _CLIENT))),  # thousands in every quarter
    Grain(12, ("model", "streaming"), _STREAM_SUMS, _streams(_STREAMED, DAY)),
    Grain(13, ("model", "origin"), MAIN, (GrainLevel(DAY, FEW),)),
    Grain(14, ("model", "outcome"), FEW, (_COUNTED_MINUTES, _DENSE_HOURS, GrainLevel(DAY, ()))),
    Grain(15, ("model", "backend_name"), MAIN, (_QUARTERS, _DENSE_HOURS, GrainLevel(DAY, LATENCIES))),
    Grain(16, ("origin", "streaming"), MAIN, _CLIENTS),
    Grain(17, ("endpoint", "streaming"), MAIN, _FINE),
    # errors, by everything that people ask about them; all else is a few rows
    Grain(
        18,
        ("model", "backend_name", "backend", "outcome", "error_category", "error_type", "error_phase"),
        (),
        (_QUARTERS, _DENSE_HOURS, GrainLevel(DAY, ())),
    ),
)
VERSION: Final = "app_version"


def key_names(grain: Grain) -> tuple[str, ...]:
    """Names of the values in a key, in order."""
    return (VERSION, *grain.dimensions)


def _check() -> None:
    numbers = [grain.number for grain in GRAINS]
    assert len(set(numbers)) == len(numbers)
    assert all(name in KEYS for grain in GRAINS for name in key_names(grain))
    assert all(set(kept.sketches) <= set(grain.moments) for grain in GRAINS for kept in grain.kept)


_check()
