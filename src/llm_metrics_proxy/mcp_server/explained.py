"""What a metric, dimension, column or kind of error means. Pure: it is all in the tables that the program works by."""

from typing import Any, Final

from llm_metrics_proxy.analytics.conditions import CONDITIONED
from llm_metrics_proxy.analytics.dimensions import DIMENSIONS, dimension
from llm_metrics_proxy.analytics.headings import HEADINGS
from llm_metrics_proxy.analytics.measures import FIELDS, NAMED, STATISTICS, measure
from llm_metrics_proxy.analytics.suggestions import unknown
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.wire.error_types import TAXONOMY

_STATISTICS: Final = f"{', '.join(STATISTICS)}, p0.1 to p99.9"


def explain(name: str) -> dict[str, Any]:
    """Everything that the name stands for. Raises ``QueryError`` with what may have been meant."""
    found = [*_metric(name), *_dimension(name), *_column(name), *_errors(name)]
    if not found:
        known = dict.fromkeys((*NAMED, *FIELDS, *DIMENSIONS, *REGISTRY, *(row.type for row in TAXONOMY)))
        message = unknown("metric, dimension, column or error type", name[:64], known).partition("; there are: ")[0]
        raise QueryError("name", f"{message}; without a name, `explain` lists all")
    return {"name": name, "explanations": found}


def vocabulary() -> dict[str, Any]:
    """All names, with few words each."""
    return {
        "metrics": [{"name": one.name, "unit": one.unit, "meaning": one.meaning} for one in NAMED.values()],
        "measured_columns": [
            {"name": name, "unit": column.unit, "meaning": column.meaning} for name, column in FIELDS.items()
        ],
        "statistics": f"A measured column needs one of {_STATISTICS}, as in response_time_ms.p95.",
        "dimensions": [
            *({"name": one.name, "meaning": one.meaning} for one in DIMENSIONS.values()),
            {"name": "tag:<key>", "meaning": "value of that tag"},
            {"name": "bin:<column>", "meaning": "a measured column in bins"},
        ],
        "columns": list(CONDITIONED),
        "error_types": sorted({row.type for row in TAXONOMY}),
    }


def _metric(name: str) -> list[dict[str, Any]]:
    if name in FIELDS and name not in NAMED:
        column = FIELDS[name]
        use = f"as a metric it needs a statistic: {_STATISTICS}; such as {name}.p95"
        return [{"is": "metric", "unit": column.unit, "meaning": column.meaning, "use": use, **_called(name)}]
    try:
        one = measure(name)
    except QueryError:
        return []
    return [{"is": "metric", "unit": one.unit, "meaning": one.meaning, **_called(name)}]


def _called(name: str) -> dict[str, str]:
    heading = HEADINGS.get(name.partition(".")[0])
    return {} if heading is None else {"people_call_it": heading.words}


def _dimension(name: str) -> list[dict[str, Any]]:
    try:
        one = dimension(name)
    except QueryError:
        return []
    return [{"is": "dimension", "meaning": one.meaning, **({"values": list(one.order)} if one.order else {})}]


def _column(name: str) -> list[dict[str, Any]]:
    column = CONDITIONED.get(name) or REGISTRY.get(name)
    if column is None:
        return []
    known: dict[str, Any] = {"is": "column", "holds": column.kind.holds, "meaning": column.meaning}
    if column.unit:
        known["unit"] = column.unit
    return [{**known, "missing": "no value where it was not observed or reported, never 0"}]


def _errors(name: str) -> list[dict[str, Any]]:
    return [
        {"is": "error type", "category": row.category, "meaning": row.meaning, "advice": row.advice}
        for row in TAXONOMY
        if name in (row.type, f"{row.category}/{row.type}")
    ]
