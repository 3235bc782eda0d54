"""Which columns an export has."""

from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import ALL_COLUMNS, REGISTRY


def choose(text: str | None) -> tuple[str, ...]:
    """Names separated by commas, in the order asked for; none: all columns. Raises ``QueryError``."""
    if text is None:
        return ALL_COLUMNS
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in REGISTRY:
            raise QueryError("columns", f"there is no column {name[:64]!r}; there are: {', '.join(ALL_COLUMNS)}")
        if names.count(name) > 1:
            raise QueryError("columns", f"the column {name} is named {names.count(name)} times; once is enough")
    return names
