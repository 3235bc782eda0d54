"""Which records a question is about: a frozen value."""

from collections.abc import Container, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llm_metrics_proxy.analytics.conditions import MAX_CONDITIONS, NO_VALUE, WORDS, Condition
from llm_metrics_proxy.analytics.moments import aware, parse_time, stored_time
from llm_metrics_proxy.columns import Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.record import APP_VERSION_COLUMN, REGISTRY

__all__ = [
    "FILTERED", "NO_VALUE", "RULED", "WORDS", "Condition", "RequestFilter", "aware", "filter_of", "in_fields",
    "parse_time", "stored_time", "tags_in", "value_type",
]  # fmt: skip

_VALUES: Final[dict[str, type]] = {"flag": bool, "integer": int}  # by what the column holds; text otherwise
# The order that clients know the parameters in; a newer filter comes behind these.
_ORDER: Final = (
    "model", "origin", "backend", "endpoint", "streaming", "success", "status_code", "outcome", "error_category",
    "error_type", "error_phase", "app_version", "backend_name", "user", "user_agent", "api_key_id", "trace_id", "tag",
)  # fmt: skip
# Every column that has a parameter of its own, under the filter's name.
FILTERED: Final[dict[str, Column]] = {
    column.filter_name: column
    for column in sorted(
        (column for column in REGISTRY.values() if column.filter is not None),
        key=lambda column: (*_ORDER, column.filter_name).index(column.filter_name),
    )
}
# Those by which an objective or an alert can say which requests it is about.
RULED: Final = {
    name: column
    for name, column in sorted(FILTERED.items(), key=lambda row: row[1].place)
    if column.filter is not None and column.filter.rule is not None
}


def value_type(column: Column) -> type:
    """What a filter by this column compares with."""
    return _VALUES.get(column.kind.holds, str)


_Conditions: Any = msgspec.defstruct(
    "_Conditions",
    [
        ("start", datetime | None, None),
        ("end", datetime | None, None),
        *((name, value_type(column) | None, None) for name, column in FILTERED.items()),
        ("where", tuple[Condition, ...], ()),
    ],
    frozen=True,
    kw_only=True,
)


class RequestFilter(_Conditions, frozen=True, kw_only=True, forbid_unknown_fields=True):  # type: ignore[misc,call-arg]
    """Records that meet every condition that is set; ``None`` sets none. Raises ``QueryError`` if none could.

    ``start`` is inclusive, ``end`` exclusive, so that neighbouring ranges share no record. A naive time is UTC. The
    ``app_version`` ``NO_VALUE`` means records without one. What has a list in ``WORDS`` must be on it. ``tag`` is
    ``k=v``, or several that must all be there, separated by commas. ``where`` has the conditions that are not one value
    of a column with a field of its own.
    """

    if TYPE_CHECKING:
        start: datetime | None
        end: datetime | None
        where: tuple[Condition, ...]

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and stored_time(self.start) >= stored_time(self.end):
            raise QueryError("start", "start must be before end: start is inclusive and end exclusive")
        if len(self.where) > MAX_CONDITIONS:
            raise QueryError("where", f"there are {len(self.where)} conditions; at most {MAX_CONDITIONS} can be given")
        self._of_fields()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All but the range of time, each field's first."""
        return (*self._of_fields(), *self.where)

    def _of_fields(self) -> list[Condition]:
        found = []
        for name in FILTERED:
            value = getattr(self, name)
            if value is None:
                continue
            values: list[Any] = tags_in(value) if name == "tag" else [value]
            if name == APP_VERSION_COLUMN and value == NO_VALUE:
                values = [None]
            found.append(Condition(name, "=", tuple(values)))
        return found


def filter_of(
    conditions: Iterable[Condition], *, start: datetime | None = None, end: datetime | None = None
) -> RequestFilter:
    """Records of a range that meet them all. Raises ``QueryError``."""
    return RequestFilter(start=start, end=end, **in_fields(conditions, FILTERED))


def in_fields(conditions: Iterable[Condition], names: Container[str]) -> dict[str, Any]:
    """Fields by name, ``where`` among them. One value of a column that has a field (of ``names``) goes there, so that
    the same question is the same value however it was asked."""
    fields: dict[str, Any] = {}
    where: list[Condition] = []
    for one in conditions:
        if one.op == "=" and one.name in names and one.name not in fields and _is_plain(one):
            fields[one.name] = ",".join(map(str, one.values)) if one.name == "tag" else one.values[0]
        elif one not in where:
            where.append(one)
    if fields.get(APP_VERSION_COLUMN, "") is None:
        fields[APP_VERSION_COLUMN] = NO_VALUE
    return {**fields, "where": tuple(where)}


def _is_plain(condition: Condition) -> bool:
    """Whether the field of its column can say it."""
    if condition.name == "tag":  # blanks around a tag do not count there
        return all(isinstance(one, str) and one == one.strip() and "," not in one for one in condition.values)
    if condition.name == APP_VERSION_COLUMN:
        return len(condition.values) == 1 and condition.values[0] != NO_VALUE
    return len(condition.values) == 1 and condition.values[0] is not None


def tags_in(text: str) -> list[str]:
    """The tags of a filter, as the column holds each."""
    return [tag.strip() for tag in text.split(",")]
