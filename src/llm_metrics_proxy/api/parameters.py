"""Query parameters as FastAPI reads and documents them, and how they become query values."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from llm_metrics_proxy.analytics import MAX_EXAMPLES, MAX_LIMIT, WORDS, ErrorsQuery, RequestFilter, parse_time
from llm_metrics_proxy.analytics.conditions import MAX_CHARS, MAX_CONDITIONS, condition_in, parse_conditions
from llm_metrics_proxy.analytics.filters import FILTERED, filter_of, value_type
from llm_metrics_proxy.analytics.ordering import NEWEST, Order, parse_order
from llm_metrics_proxy.analytics.records import SESSION_ORDERS
from llm_metrics_proxy.analytics.session_detail import MAX_REQUESTS, MOST_COUNTED
from llm_metrics_proxy.analytics.sessions import MAX_SESSIONS, SessionsQuery
from llm_metrics_proxy.columns import STATUS, Column
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.export import FORMATS, ExportQuery, choose

MAX_REPLAY: Final = 500  # 1.1 MB
_MAX_EVENT_ID_CHARS: Final = 16_384  # some hundred hosts
_MAX_TEXT_CHARS: Final = 512
_MAX_CURSOR_CHARS: Final = 4096  # it has the value that records are sorted by
_MAX_COLUMNS_CHARS: Final = 4096  # the names of all columns take half of that


def _read_flag(text: object) -> object:
    """Two words and no more: pydantic alone would also take ``on``, ``y`` and ``0``, which the schema does not name."""
    if text not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text == "true"


# A parameter is absent or has a value; null is not allowed, so it is kept out of the schema.
_Absent = SkipJsonSchema[None]
_Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT_CHARS)] | _Absent
_Cursor = Annotated[str, Field(min_length=1, max_length=_MAX_CURSOR_CHARS)] | _Absent
Flag = Annotated[bool, BeforeValidator(_read_flag)] | _Absent


def _moment(meaning: str) -> Any:
    """Documented as what it is; read by ``parse_time``, whose messages say more than pydantic's."""
    return Field(
        description=f"{meaning} ISO 8601. A time without a zone is UTC, and a date alone is the start of that day.",
        examples=["2026-01-31T12:00:00Z", "2026-01-31"],
        json_schema_extra={"anyOf": [{"format": "date-time"}, {"format": "date"}]},
    )


def _condition(name: str, column: Column) -> Any:
    """Read by ``parse_condition``, whose messages name a list of words; here is what one value can be."""
    assert column.filter is not None
    if value_type(column) is bool:
        return Annotated[Flag, Field(description=column.filter.meaning)]
    words: Any = {"enum": list(WORDS[name])} if name in WORDS else None
    if column.kind is STATUS:
        words = {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, {"type": "string"}]}
    return Annotated[_Text, Field(description=f"{column.filter.meaning}{_SEVERAL}", json_schema_extra=words)]


_SEVERAL: Final = " Several, separated by commas: any of them; a comma in a value is `\\,`."
_WHERE: Final = Field(
    description="Conditions that must all be met; repeatable. On any column: `model=a,b` (one of these), `model!=a,b` "
    "(a value, and none of these), `response_time_ms>5000`, also `>=`, `<`, `<=`; `(none)` is no value: "
    "`cost_usd!=(none)`. Each may also stand in the query string as it is: `?model!=a,b&response_time_ms>5000`.",
    examples=[["response_time_ms>5000", "model!=a,b"]],
)
_Where = Annotated[list[Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]], Field(max_length=MAX_CONDITIONS)]
_FIELDS: Final[dict[str, Any]] = {
    "start": (Annotated[_Text, _moment("Records from this moment on.")], None),
    "end": (Annotated[_Text, _moment("Records before this moment.")], None),
    **{name: (_condition(name, column), None) for name, column in FILTERED.items()},
    "where": (Annotated[_Where | _Absent, _WHERE], None),
}
# What is no field may be a condition as it stands; ``KnownOnly`` refuses all else.
_Conditions: Any = create_model("_Conditions", __config__=ConfigDict(extra="allow"), **_FIELDS)


class FilterParameters(_Conditions):  # type: ignore[misc]
    """The conditions of ``RequestFilter``."""

    def to_filter(self) -> RequestFilter:
        """The query value. Raises ``QueryError``."""
        start, end = (
            None if (text := getattr(self, name)) is None else parse_time(text, name) for name in ("start", "end")
        )
        return filter_of(parse_conditions(self._texts()), start=start, end=end)

    def _texts(self) -> Iterator[str]:
        for name in FILTERED:
            value = getattr(self, name)
            if value is not None:
                yield f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        yield from self.where or ()
        for name, value in (self.model_extra or {}).items():
            for one in value if isinstance(value, list) else [value]:
                if (text := condition_in(name, one)) is not None:
                    yield text


class ListParameters(FilterParameters):
    """A filter, and which page of what it selects."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Records on a page.")] = 100
    cursor: Annotated[
        _Cursor, Field(description="`next_cursor` of the page before; keep filters and order the same.")
    ] = None
    order: Annotated[
        _Text,
        Field(
            description="A column to sort by; descending with `-` in front. Records without a value come last, and of "
            "one value the newest comes first. The newest first without it.",
            examples=["-response_time_ms"],
        ),
    ] = None

    def to_order(self) -> Order:
        """The order. Raises ``QueryError``."""
        return NEWEST if self.order is None else parse_order(self.order)


class SessionsParameters(FilterParameters):
    """A filter, and which page of the sessions that have a record which it selects."""

    order: Annotated[
        str,
        Field(
            description=f"What to sort by, with `-` in front descending: {', '.join(SESSION_ORDERS)}.",
            examples=["-total_tokens"],
        ),
    ] = "-total_tokens"
    limit: Annotated[int, Field(ge=1, le=MAX_SESSIONS, description="Sessions on a page.")] = 50
    cursor: Annotated[
        Annotated[str, Field(min_length=1, max_length=2 * _MAX_TEXT_CHARS)] | _Absent,
        Field(description="`next_cursor` of the page before; keep filters and order the same."),
    ] = None

    def to_query(self) -> SessionsQuery:
        """The query value. Raises ``QueryError``."""
        return SessionsQuery(filter=self.to_filter(), order=self.order, limit=self.limit, cursor=self.cursor)


class SessionParameters(BaseModel):
    """Which requests of a session."""

    limit: Annotated[int, Field(ge=1, le=MAX_REQUESTS, description="Requests in the answer, in their order.")] = 1000
    offset: Annotated[int, Field(ge=0, le=MOST_COUNTED, description="`next_offset` of the answer before.")] = 0


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
        self._takes_conditions = parameters is not None and issubclass(parameters, FilterParameters)

    def __call__(self, request: Request) -> None:
        """Raises ``QueryError``."""
        for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
            if self._takes_conditions and name not in self._known and condition_in(name, "") is not None:
                continue
            if name not in self._known:
                known = f"known are: {', '.join(self._known)}" if self._known else "there are none here"
                raise QueryError(name[:64], f"there is no parameter {name[:64]!r}; {known}")
            if times > 1 and name not in self._repeatable:
                several = f"; for any of several, write {name}=a,b" if name in FILTERED else "; once is enough"
                raise QueryError(name, f"{name} is given {times} times{several}")
