"""The answers' shapes for the OpenAPI document, made from the types that are rendered and from the list of columns.

Nothing is described twice: a record's schema is generated from ``record``, with every column's meaning and unit
(``x-unit``), and the rest from the structs themselves.
"""

from typing import Annotated, Any, Final

import msgspec

from llm_metrics_proxy.analytics import Errors, MigrationRun, Notice, Summary, VersionNote
from llm_metrics_proxy.analytics.changes import Changes
from llm_metrics_proxy.analytics.costs import Costs
from llm_metrics_proxy.analytics.distribution import Histogram
from llm_metrics_proxy.analytics.heatmap import Heatmap
from llm_metrics_proxy.analytics.history import History
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.rows import UNFIT
from llm_metrics_proxy.analytics.session_detail import SessionDetail
from llm_metrics_proxy.analytics.sessions import SessionPage
from llm_metrics_proxy.api.answers import ErrorAnswer
from llm_metrics_proxy.api.health import Health, Readiness
from llm_metrics_proxy.api.live_events import LiveProblem, LiveSkipped, LiveStart, LiveTotals
from llm_metrics_proxy.api.migrations import MigrationNow
from llm_metrics_proxy.record import REGISTRY
from llm_metrics_proxy.reports import Report
from llm_metrics_proxy.servers.report import Servers
from llm_metrics_proxy.watch.budgets import BudgetReport
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport
from llm_metrics_proxy.watch.limits import LimitReport


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, what each version changed in how numbers are read, and which version each record follows."""

    app_version: str
    history: tuple[VersionNote, ...]
    records_by_version: dict[str, int]  # "(none)": records without a stamp
    migrations: list[MigrationRun]  # that ran on this database, newest first
    notices: list[Notice]  # for people; those that need attention first
    components: dict[str, str]  # versions of what the program runs on


class SettingShown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: ``value`` as text, secrets as ``***``; ``origin`` is the flag, variable or file that gave it."""

    name: str
    group: str
    value: str
    origin: str
    meaning: str


class SettingsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of the program that started this process, and the versions of what it is made of."""

    app_version: str
    settings: list[SettingShown]
    components: dict[str, str]


class Slos(msgspec.Struct, frozen=True, kw_only=True):
    """Every objective of the file, as last measured."""

    app_version: str
    slos: list[SloReport]


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of servers' limits, by server and key; ``over``: windows of subscriptions that began anew since
    anybody asked."""

    app_version: str
    quotas: list[LimitReport]
    over: list[LimitReport]


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """Every budget of the file, as last measured."""

    app_version: str
    budgets: list[BudgetReport]


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Every alert of the file, as last measured."""

    app_version: str
    alerts: list[AlertReport]


_KINDS: Final[dict[str, Any]] = {
    "integer": int, "number": float, "flag": bool, "text": str, "time": str, "any": str | float,
}  # fmt: skip


def _described(kind: Any, meaning: str, unit: str = "") -> Any:
    return Annotated[kind, msgspec.Meta(description=meaning, extra_json_schema={"x-unit": unit} if unit else None)]


def _record_fields() -> list[tuple[Any, ...]]:
    """Every column but ``arrival`` may be null: records of older programs lack what those did not know."""
    fields: list[tuple[Any, ...]] = []
    for column in REGISTRY.values():
        kind = dict[str, str] if column.name == UNFIT else _KINDS[column.kind.holds]
        kind = kind if column.name == "arrival" else kind | None
        fields.append((column.name, _described(kind, column.meaning, column.unit)))
    return fields


RequestItem: Final = msgspec.defstruct(
    "RequestItem", _record_fields(), frozen=True, kw_only=True, forbid_unknown_fields=True
)
RequestPage: Final = msgspec.defstruct(
    "RequestPage",
    [
        ("app_version", Annotated[str, msgspec.Meta(description="version whose definitions this answer follows")]),
        (
            "history",
            Annotated[
                History | None,
                msgspec.Meta(description="older records that are on no page yet; null: none is missing"),
            ],
        ),
        ("items", list[RequestItem]),  # type: ignore[valid-type]
        ("next_cursor", Annotated[str | None, msgspec.Meta(description="null on the last page")]),
    ],
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
)
_ANSWERS: Final = (
    RequestItem,
    RequestPage,
    Summary,
    Errors,
    Versions,
    MigrationNow,
    Health,
    Readiness,
    SettingsAnswer,
    ErrorAnswer,
    Result,
    Histogram,
    Heatmap,
    Report,
    Changes,
    Costs,
    Slos,
    Alerts,
    Budgets,
    Quotas,
    SessionPage,
    SessionDetail,
    Servers,
)
_EVENTS: Final = (LiveStart, LiveSkipped, LiveTotals, LiveProblem)  # data of /api/v1/live; of `record`: RequestItem


_PLACE: Final = "#/components/schemas/"
# Our names of shapes that clients know by another.
_KNOWN_AS: Final = {"ResultColumn": "Column", "ResultRow": "Row", "SettingsAnswer": "Settings"}


def components() -> dict[str, Any]:
    """``components.schemas`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components((*_ANSWERS, *_EVENTS), ref_template=f"{_PLACE}{{name}}")
    text = msgspec.json.encode(schemas).decode()
    for ours, theirs in _KNOWN_AS.items():
        text = text.replace(f'"{ours}"', f'"{theirs}"').replace(f'"{_PLACE}{ours}"', f'"{_PLACE}{theirs}"')
    return dict(sorted(msgspec.json.decode(text).items()))


def answer(name: str, description: str) -> dict[str, Any]:
    """A response object whose JSON body is the component ``name``."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
