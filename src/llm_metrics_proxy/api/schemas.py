"""The answers' shapes for the OpenAPI document, made from the types that are rendered and from the list of columns.

Nothing is described twice: a record's schema is generated from ``record``, with every column's meaning and unit
(``x-unit``), and the rest from the structs themselves.
"""

from typing import Annotated, Any, Final, get_type_hints

import msgspec

from llm_metrics_proxy.analytics import Summary, VersionNote
from llm_metrics_proxy.api.answers import ErrorAnswer
from llm_metrics_proxy.api.health import Health, Readiness
from llm_metrics_proxy.record import APP_VERSION_COLUMN, COLUMNS, DERIVED, Fact, RequestRecord, raw_facts


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, what each version changed in how numbers are read, and which version each record follows."""

    app_version: str
    history: tuple[VersionNote, ...]
    records_by_version: dict[str, int]
    components: dict[str, str]  # versions of what the program runs on


def _described(kind: Any, fact: Fact) -> Any:
    extra = {"x-unit": fact.unit} if fact.unit else None
    return Annotated[kind, msgspec.Meta(description=fact.meaning, extra_json_schema=extra)]


def _record_fields() -> list[tuple[str, Any]]:
    kinds = get_type_hints(RequestRecord)
    described = {
        "id": _described(int, Fact("row number in the database")),
        **{name: _described(kinds[name], fact) for name, fact in raw_facts().items()},
        **{column.name: _described(float | None, column.fact) for column in DERIVED},
        APP_VERSION_COLUMN: _described(str, Fact("version whose formulas calculated the derived columns")),
    }
    return [(name, described[name]) for name in COLUMNS]


RequestItem: Final = msgspec.defstruct(
    "RequestItem", _record_fields(), frozen=True, kw_only=True, forbid_unknown_fields=True
)
RequestPage: Final = msgspec.defstruct(
    "RequestPage",
    [
        ("app_version", Annotated[str, msgspec.Meta(description="version whose definitions this answer follows")]),
        ("items", list[RequestItem]),  # type: ignore[valid-type]
        ("next_cursor", Annotated[str | None, msgspec.Meta(description="null on the last page")]),
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
_ANSWERS: Final = (RequestItem, RequestPage, Summary, Versions, Health, Readiness, ErrorAnswer)


def components() -> dict[str, Any]:
    """``components.schemas`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template="#/components/schemas/{name}")
    return dict(sorted(schemas.items()))


def answer(name: str, description: str) -> dict[str, Any]:
    """A response object whose JSON body is the component ``name``."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
