"""Sums by the hour that the server keeps beside the records: projections of the table. Pure: text.

They are parts of each part of the table, so they are never ahead of the records or behind them, whatever inserts,
merges, mutations or retention do; and the server itself reads records where a part has none yet. It takes a projection
for a question whose keys and aggregates it has, word for word: so both are made here.

By which words they are kept is chosen by how many values those have in an hour. Sums by user and by API key would have
a row for every third and sixth record (a million in 90 days), take 76 bytes a record, and answer hardly faster than the
records themselves. On a cluster none are kept: they are read by name, on one server.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from llm_metrics_proxy.analytics.distribution import SHOWN
from llm_metrics_proxy.analytics.measures import FIELDS
from llm_metrics_proxy.columns import MEASURED
from llm_metrics_proxy.engines.clickhouse.aggregates import COUNTS, TIMES, above_one, moments_of
from llm_metrics_proxy.engines.clickhouse.expressions import expression, quoted
from llm_metrics_proxy.engines.clickhouse.table import TablePlace
from llm_metrics_proxy.record import APP_VERSION_COLUMN

RELATIVE_ERROR: Final = 0.01
HOUR_US: Final = 3_600_000_000
HOUR: Final = f"intDiv(toUnixTimestamp64Micro(timestamp), {HOUR_US})"  # since 1970; a DateTime would end in 2106
LEVELS: Final = tuple(round(float(percent) / 100, 6) for percent in SHOWN)
_PARAMETERS: Final = ", ".join(map(repr, (RELATIVE_ERROR, *LEVELS)))


class Projection(NamedTuple):
    """``keys``: besides the hour and the version. ``fields``: columns with sums; ``sketched``: with percentiles."""

    name: str
    keys: tuple[str, ...]
    fields: tuple[str, ...] = ()
    sketched: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The hour, the words, and the aggregates, of which states are kept."""
        values = [*COUNTS.values(), *TIMES.values()]
        for name in self.fields:
            values += moments_of(name, extremes=True)
        values += [sketch(expression(FIELDS[name])) for name in self.sketched]
        return [*self._words, *values]

    @property
    def _words(self) -> list[str]:
        return [HOUR, *map(quoted, (APP_VERSION_COLUMN, *self.keys))]

    @property
    def sql(self) -> str:
        """As ADD PROJECTION takes it."""
        return f"{self.name} (SELECT {', '.join(self.columns)} GROUP BY {', '.join(self._words)})"


def sketch(value: str) -> str:
    """The percentiles ``LEVELS``."""
    return f"quantilesDD({_PARAMETERS})({above_one(value)})"


def state(sql: str) -> str:
    """The state of an aggregate."""
    function, parenthesis, rest = sql.partition("(")
    return f"{function}State{parenthesis}{rest}"


def merged(sketches: str) -> str:
    """The percentiles ``LEVELS`` of several states, as ``above_one`` has them."""
    return f"quantilesDDMerge({_PARAMETERS})({sketches})"


_BY: Final = {name: at.by for name, column in FIELDS.items() if (at := column.rolled_up) is not None}
_ALL: Final = tuple(FIELDS)
_SKETCHED: Final = tuple(name for name in _ALL if FIELDS[name].kind in MEASURED)
_MAIN: Final = tuple(name for name, by in _BY.items() if by != "total")
_LATENCIES: Final = tuple(name for name in _MAIN if name in _SKETCHED)
_CLIENT: Final = tuple(name for name in _MAIN if name not in _SKETCHED or _BY[name] == "client")
# A projection's columns cannot be changed: one with others has another name, and the one before goes (``SUPERSEDED``).
PROJECTIONS: Final = (
    Projection("hours_3", (), _ALL, _SKETCHED),
    Projection("hours_3_by_model", ("model",), _MAIN, _LATENCIES),
    Projection("hours_3_by_backend", ("backend_name", "backend"), _MAIN, _LATENCIES),
    Projection("hours_3_by_endpoint", ("endpoint", "is_streaming"), _MAIN, _LATENCIES),
    Projection("hours_3_by_origin", ("origin",), _CLIENT),
    Projection(
        "hours_by_end", ("outcome", "error_category", "error_type", "error_phase", "status_code", "finish_reason")
    ),
)
_BY_WORDS: Final = ("", "_by_model", "_by_backend", "_by_endpoint", "_by_origin")
# Those of 5.0.0 know no savings and no shares of busy time; those of 5.1.0 refuse values that are too far apart.
SUPERSEDED: Final = tuple(f"{name}{words}" for name in ("hours", "hours_2") for words in _BY_WORDS)


def added_projections(place: TablePlace, whole: Collection[str] = (), table: str | None = None) -> list[str]:
    """The statement, if any, that adds those that are not ``whole`` to ``table`` (``None``: the one of the records).

    New parts have them from then on, and the server makes those of older parts in the background."""
    missing = [one for one in PROJECTIONS if one.name not in whole]
    if place.cluster is not None or not missing:
        return []
    adding = [f"ADD PROJECTION IF NOT EXISTS {one.sql}" for one in missing]
    making = [f"MATERIALIZE PROJECTION {one.name}" for one in missing]
    return [f"ALTER TABLE {table or place.records} {', '.join([*adding, *making])}"]


def dropped_projections(place: TablePlace, there: Collection[str]) -> list[str]:
    """The statement, if any, that drops those of older versions among the ones that are ``there``."""
    old = [f"DROP PROJECTION IF EXISTS {name}" for name in SUPERSEDED if name in there]
    return [f"ALTER TABLE {place.records} {', '.join(old)}"] if old and place.cluster is None else []
