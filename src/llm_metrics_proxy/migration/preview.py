"""What carrying a sample of the records over shows: gaps, values that do not fit, error types, and metrics before and
after."""
# ruff: noqa: S608 -- names are ours

import time
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import apsw
import msgspec

from llm_metrics_proxy.migration.carry_oracle import Verifier
from llm_metrics_proxy.migration.carry_sql import Carry, carry, carry_over
from llm_metrics_proxy.migration.keys import key_columns
from llm_metrics_proxy.migration.model import ColumnChange, Fault, Migration
from llm_metrics_proxy.migration.sample import OLD
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.storage.sqlite_schema import TABLE

MOST_FAULTS: Final = 10
MOST_TYPES: Final = 1000  # another program's file may hold any texts there; the most frequent ones suffice
_LARGEST: Final = "1.7976931348623157e308"
_ALL: Final = (-(2**63), 2**63 - 1)
_JOINED: Final = f"{TABLE} AS n JOIN {OLD} AS t ON {{key}} = n.arrival"


class Figures(msgspec.Struct, frozen=True):
    """One metric over ``n`` records that have it; with ``n`` = 0 all else is ``None``.

    ``left_out``: records with something there that is not a finite number. Percentiles interpolate linearly.
    """

    n: int
    mean: float | None
    p50: float | None
    p95: float | None
    left_out: int


class Comparison(msgspec.Struct, frozen=True):
    """The same records of the sample, before and after. ``model`` is ``None`` where a record names none."""

    model: str | None
    records: int
    before: Figures
    after: Figures


class MetricChange(msgspec.Struct, frozen=True):
    """One metric that people look at: over the whole sample, and by model, those with most records first."""

    metric: str
    unit: str
    overall: Comparison
    by_model: tuple[Comparison, ...]


class Retyped(msgspec.Struct, frozen=True):
    """``records`` that had the error type ``before`` and get ``category`` and ``type``; ``None`` means no type."""

    before: str | None
    category: str | None
    type: str | None
    records: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """``gaps``: records that cannot be recomputed, by reason. ``unfit``: values that do not fit, by column. ``faults``
    are what a run would be taken back for."""

    records: int = 0
    changes: dict[str, tuple[ColumnChange, ...]] = {}  # by version: of the migrations that concern the table, in order
    gaps: dict[str, int] = {}
    unfit: dict[str, int] = {}
    types: tuple[Retyped, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    faults: tuple[Fault, ...] = ()
    seconds: float = 0.0  # of carrying over


def try_out(
    sample: apsw.Connection, chain: Sequence[Migration], stamps: Sequence[Any], *, app_version: str, distrusts: bool
) -> Preview:
    """Carry the sample over, all at once. Raises ``apsw.Error`` where it cannot be read."""
    key = key_columns(sample, OLD)[0]
    how = carry(sample, OLD, chain, stamps, app_version=app_version, distrusts=distrusts, key=key)
    start = time.perf_counter()
    try:
        with sample:
            carry_over(sample, how, *_ALL)
    except apsw.Error as error:  # there is neither disk nor lock here: it is the formula
        return Preview(faults=(Fault("formula", None, f"a formula cannot be calculated: {error}"),))
    seconds = time.perf_counter() - start
    migrations = [step.migration for step in how.steps]
    shown = dict.fromkeys(name for migration in migrations for name in migration.shown)
    changed = {change.column for migration in migrations for change in migration.changes}
    return Preview(
        records=sample.execute(f"SELECT count(*) FROM {TABLE}").get,
        changes={step.migration.version: step.changes for step in how.steps},
        gaps=dict(sample.execute(how.gaps, _ALL)),
        unfit=dict(sample.execute(f"SELECT key, count(*) FROM {TABLE}, json_each(unfit_values) GROUP BY 1")),
        types=_types(sample, how) if "error_category" in changed else (),
        metrics=tuple(_metric(sample, how, name) for name in shown),
        faults=tuple(Verifier(sample, how).faults(*_ALL, MOST_FAULTS)),
        seconds=seconds,
    )


def _types(sample: apsw.Connection, how: Carry) -> tuple[Retyped, ...]:
    """The most frequent first; records without an error before and after are left out."""
    before = "(SELECT CASE WHEN typeof(m) = 'text' THEN repaired(CAST(m AS BLOB)) END FROM (SELECT {} AS m))"
    rows = sample.execute(
        f"SELECT {before.format(how.old.meant('error_type'))} AS before, n.error_category, n.error_type, count(*) "
        f"FROM {_JOINED.format(key=how.old.key)} WHERE before IS NOT NULL OR n.error_type IS NOT NULL "
        f"GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT {MOST_TYPES}"
    )
    return tuple(Retyped(*row) for row in rows)


def _metric(sample: apsw.Connection, how: Carry, name: str) -> MetricChange:
    parts = [part for value in (how.old.meant(name), f"n.{name}") for part in _figures(value)]
    statement = f"SELECT {{}}, count(*), {', '.join(parts)} FROM {_JOINED.format(key=how.old.key)}"
    (overall,) = sample.execute(statement.format("NULL"))
    by_model = sample.execute(f"{statement.format('n.model')} GROUP BY 1 ORDER BY 2 DESC, 1")
    return MetricChange(
        metric=name,
        unit=REGISTRY[name].unit if name in REGISTRY else "",
        overall=_comparison(overall),
        by_model=tuple(_comparison(row) for row in by_model),
    )


def _figures(value: str) -> list[str]:
    """Text and bytes sort after every number; the plus takes away the column's type, which would convert the limits."""
    number = f"iif(+{value} BETWEEN -{_LARGEST} AND {_LARGEST}, {value}, NULL)"
    return [
        f"count({number})",
        f"avg({number})",
        f"percentile_cont({number}, 0.5)",
        f"percentile_cont({number}, 0.95)",
        f"count({value}) - count({number})",
    ]


def _comparison(row: Sequence[Any]) -> Comparison:
    return Comparison(row[0], row[1], _from_row(row[2:7]), _from_row(row[7:12]))


def _from_row(values: Sequence[Any]) -> Figures:
    n, *numbers, left_out = values
    mean, p50, p95 = (number if number is not None and isfinite(number) else None for number in numbers)
    return Figures(n, mean, p50, p95, left_out)
