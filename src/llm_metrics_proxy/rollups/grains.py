"""By what records are rolled up, and how finely in time: a table.

A row is kept per grain, level, bucket and key. ``app_version`` is part of every key, so that an answer can always say
how many of its records follow older formulas; there is hardly ever more than one.
"""

from typing import Final, NamedTuple

from llm_metrics_proxy.rollups.values import ALL, FEW, KEYS, LATENCIES, MAIN

QUARTER_S: Final = 900  # every zone's offset from UTC is a multiple of it
NO_TIME: Final = -(2**40)  # the bucket of records whose time cannot be read; only a range open to both sides has it


class Level(NamedTuple):
    """``number`` is stored. Buckets begin at multiples of ``seconds`` since 1970 in UTC."""

    number: int
    name: str
    seconds: int


QUARTER: Final = Level(0, "quarter", QUARTER_S)
HOUR: Final = Level(1, "hour", 4 * QUARTER_S)
DAY: Final = Level(2, "day", 96 * QUARTER_S)
LEVELS: Final = (QUARTER, HOUR, DAY)


class Kept(NamedTuple):
    """At one level of a grain: fields of which there is a sketch. ``dense``: only on days that have many records."""

    level: Level
    sketches: tuple[int, ...]
    dense: bool = False


class Grain(NamedTuple):
    """``number`` is stored. ``moments``: fields of which n, sum, min and max are kept, at every level."""

    number: int
    dimensions: tuple[str, ...]
    moments: tuple[int, ...]
    kept: tuple[Kept, ...]  # the finest level first


# A day is dense if it has so many records when its first are rolled up, or the day before had. On others the hours of a
# client, of whom there may be thousands, would be as large as the records themselves, which are read as fast.
DENSE_DAY: Final = 20_000

_TOTAL: Final = (Kept(QUARTER, LATENCIES), Kept(HOUR, LATENCIES), Kept(DAY, ALL))
_MODEL: Final = (Kept(QUARTER, LATENCIES, dense=True), Kept(HOUR, LATENCIES), Kept(DAY, LATENCIES))
_FINE: Final = (Kept(HOUR, LATENCIES), Kept(DAY, LATENCIES))
_ENDS: Final = (Kept(QUARTER, (), dense=True), Kept(HOUR, ()), Kept(DAY, FEW))
_CLIENTS: Final = (Kept(HOUR, (), dense=True), Kept(DAY, FEW))
_PAIR: Final = (Kept(HOUR, (), dense=True), Kept(DAY, LATENCIES))

GRAINS: Final = (
    Grain(0, (), ALL, _TOTAL),
    Grain(1, ("model",), MAIN, _MODEL),
    Grain(2, ("backend_name",), MAIN, _MODEL),
    Grain(3, ("endpoint",), MAIN, _FINE),
    Grain(4, ("streaming",), MAIN, _FINE),
    Grain(5, ("outcome",), FEW, _ENDS),
    Grain(6, ("error_category", "error_type"), FEW, _ENDS),
    Grain(7, ("status_code",), FEW, _ENDS),
    Grain(8, ("finish_reason",), FEW, _ENDS),
    Grain(9, ("origin",), MAIN, _CLIENTS),
    Grain(10, ("api_key_id",), MAIN, _CLIENTS),
    Grain(11, ("user",), MAIN, _CLIENTS),
    Grain(12, ("model", "streaming"), MAIN, (Kept(HOUR, LATENCIES, dense=True), Kept(DAY, LATENCIES))),
    Grain(13, ("model", "origin"), MAIN, (Kept(DAY, FEW),)),
    Grain(14, ("model", "outcome"), FEW, (Kept(HOUR, (), dense=True), Kept(DAY, ()))),
    Grain(15, ("model", "backend_name"), MAIN, _PAIR),
    Grain(16, ("origin", "streaming"), MAIN, _CLIENTS),
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
