"""Query parameters as FastAPI reads and documents them, and how they become query values."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from llm_metrics_proxy.analytics import MAX_EXAMPLES, MAX_LIMIT, WORDS, ErrorsQuery, RequestFilter, parse_time
from llm_metrics_proxy.analytics.filters import FILTERED, value_type
from llm_metrics_proxy.columns import STATUS, Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export import FORMATS, ExportQuery, choose

MAX_REPLAY: Final = 500  # 1.1 MB
_MAX_EVENT_ID_CHARS: Final = 16_384  # some hundred hosts
_MAX_TEXT_CHARS: Final = 512
_MAX_COLUMNS_CHARS: Final = 4096  # the names of all columns take half of that


def _read_flag(text: object) -> object:
    """Two words and no more: pydantic alone would also take ``on``, ``y`` and ``0``, which the schema does not name."""
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


# A parameter is absent or has a value; null is not allowed, so it is kept out of the schema.
_Absent = SkipJsonSchema[None]
_Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT_CHARS)] | _Absent
Flag = Annotated[bool, BeforeValidator(_read_flag)] | _Absent
_Whole = int | _Absent
_Status = Annotated[int, Field(ge=100, le=599)] | _Absent


def _moment(meaning: str) -> Any:
    """Documented as what it is; read by ``parse_time``, whose messages say more than pydantic's."""
    return Field(
        description=f"{meaning} ISO 8601. A time without a zone is UTC, and a date alone is the start of that day.",
        examples=["2026-01-31T12:00:00Z", "2026-01-31"],
        json_schema_extra={"anyOf": [{"format": "date-time"}, {"format": "date"}]},
    )


def _condition(name: str, column: Column) -> Any:
    """A list of words is documented; ``RequestFilter`` refuses others, and its message names the list."""
    assert column.filter is not None
    kinds = {bool: Flag, int: _Status if column.kind is STATUS else _Whole, str: _Text}
    words: Any = {"enum": list(WORDS[name])} if name in WORDS else None
    return Annotated[kinds[value_type(column)], Field(description=column.filter.meaning, json_schema_extra=words)]


_FIELDS: Final[dict[str, Any]] = {
    "start": (Annotated[_Text, _moment("Records from this moment on.")], None),
    "end": (Annotated[_Text, _moment("Records before this moment.")], None),
    **{name: (_condition(name, column), None) for name, column in FILTERED.items()},
}
_Conditions: Any = create_model("_Conditions", **_FIELDS)


class FilterParameters(_Conditions):  # type: ignore[misc]
    """The conditions of ``RequestFilter``."""

    def to_filter(self) -> RequestFilter:
        """The query value. Raises ``QueryError``."""
        values: dict[str, Any] = {name: getattr(self, name) for name in RequestFilter.__struct_fields__}
        for name in ("start", "end"):
            if values[name] is not None:
                values[name] = parse_time(values[name], name)
        return RequestFilter(**values)


class ListParameters(FilterParameters):
    """A filter, and which page of what it selects."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Records on a page.")] = 100
    cursor: Annotated[_Text, Field(description="`next_cursor` of the page before; keep the filters the same.")] = None


class ErrorsParameters(FilterParameters):
    """A filter, and how many examples of what went wrong."""

    examples: Annotated[int, Field(ge=0, le=MAX_EXAMPLES, description="The newest errors, so many.")] = 10

    def to_query(self) -> ErrorsQuery:
        """The query value. Raises ``QueryError``."""
        return ErrorsQuery(filter=self.to_filter(), examples=self.examples)


class ExportParameters(FilterParameters):
    """A filter, and what file to make of the records."""

    format: Annotated[str, Field(description="What to make of them.", json_schema_extra={"enum": list(FORMATS)})]
    columns: Annotated[
        Annotated[str, Field(min_length=1, max_length=_MAX_COLUMNS_CHARS)] | _Absent,
        Field(description="Names separated by commas, in the order they are to come in; all without it."),
    ] = None
    bom: Annotated[bool, Field(description="Begin `csv` with a byte-order mark, so that Excel takes it for UTF-8.")] = (
        False
    )

    def to_query(self) -> ExportQuery:
        """The query value. Raises ``QueryError``."""
        return ExportQuery(format=self.format, columns=choose(self.columns), filter=self.to_filter(), bom=self.bom)


class LiveParameters(FilterParameters):
    """A filter, and which records of before to begin with."""

    last_event_id: Annotated[
        Annotated[str, Field(min_length=1, max_length=_MAX_EVENT_ID_CHARS)] | _Absent,
        Field(description="Begin after the event with this id; for clients that cannot send Last-Event-ID."),
    ] = None
    replay: Annotated[int, Field(ge=0, le=MAX_REPLAY, description="Else begin with the newest records, so many.")] = 0


class KnownOnly:
    """A dependency that refuses parameters which the route does not have, and those given twice that may not be.

    A mistyped ``modle=`` would otherwise select everything, and look like an answer.
    """

    def __init__(self, parameters: type[BaseModel] | None = None, *, repeatable: Sequence[str] = ()) -> None:
        self._known = tuple(parameters.model_fields) if parameters else ()
        self._repeatable = repeatable

    def __call__(self, request: Request) -> None:
        """Raises ``QueryError``."""
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if name not in self._known:
                known = f"known are: {', '.join(self._known)}" if self._known else "there are none here"
                raise QueryError(name[:64], f"there is no parameter {name[:64]!r}; {known}")
            if times > 1 and name not in self._repeatable:
                raise QueryError(name, f"{name} is given {times} times; once is enough")
