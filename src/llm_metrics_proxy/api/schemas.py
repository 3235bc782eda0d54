"""The answers' shapes for the OpenAPI document, made from the types that are rendered and from the list of columns.

Nothing is described twice: a record's schema is generated from ``record``, with every column's meaning and unit
(``x-unit``), and the rest from the structs themselves.
"""

from typing import Annotated, Any, Final, get_type_hints

import msgspec

from llm_metrics_proxy.analytics import Errors, MigrationRun, Notice, RequestFilter, Summary, VersionNote
from llm_metrics_proxy.analytics.distribution import Histogram
from llm_metrics_proxy.analytics.heatmap import Heatmap
from llm_metrics_proxy.analytics.result import Result
from llm_metrics_proxy.analytics.rows import UNFIT
from llm_metrics_proxy.api.answers import ErrorAnswer
from llm_metrics_proxy.api.health import Health, Readiness
from llm_metrics_proxy.api.live_events import LiveProblem, LiveSkipped, LiveStart, LiveTotals
from llm_metrics_proxy.api.migrations import MigrationNow
from llm_metrics_proxy.api.query_examples import QUERY_EXAMPLES
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.record import (
    ALL_COLUMNS,
    APP_VERSION_COLUMN,
    DERIVED,
    KEPT,
    PRICED,
    Fact,
    RequestRecord,
    raw_facts,
)
from llm_metrics_proxy.reports import Report
from llm_metrics_proxy.watch.evaluation import AlertReport, SloReport
from llm_metrics_proxy.wire.error_taxonomy import TAXONOMY


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, what each version changed in how numbers are read, and which version each record follows."""

    app_version: str
    history: tuple[VersionNote, ...]
    records_by_version: dict[str, int]  # "(none)": records without a stamp
    migrations: list[MigrationRun]  # that ran on this database, newest first
    notices: list[Notice]  # what people are to be told, what asks for attention first
    components: dict[str, str]  # versions of what the program runs on


class SettingShown(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: ``value`` as text, secrets as ``***``; ``origin`` is the flag, variable or file that gave it."""

    name: str
    group: str
    value: str
    origin: str
    meaning: str


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of the program that started this process, and the versions of what it is made of."""

    app_version: str
    settings: list[SettingShown]
    components: dict[str, str]


class Slos(msgspec.Struct, frozen=True, kw_only=True):
    """Every objective of the file, as last measured."""

    app_version: str
    slos: list[SloReport]


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """Every alert of the file, as last measured."""

    app_version: str
    alerts: list[AlertReport]


def _described(kind: Any, fact: Fact) -> Any:
    extra = {"x-unit": fact.unit} if fact.unit else None
    return Annotated[kind, msgspec.Meta(description=fact.meaning, extra_json_schema=extra)]


_KINDS: Final = {"REAL": float, "TEXT": str, "INTEGER": int, "ANY": str | float}


def _record_fields() -> list[tuple[Any, ...]]:
    """Every column but ``id`` may be null: records of older programs lack what those did not know."""
    kinds = get_type_hints(RequestRecord)
    described = {
        "id": _described(int, Fact("row number in the database")),
        **{name: _described(kinds[name] | None, fact) for name, fact in raw_facts().items()},
        **{
            column.name: _described(_KINDS[column.sql_type] | None, column.fact)
            for column in (*DERIVED, *PRICED, *KEPT)
        },
        APP_VERSION_COLUMN: _described(str | None, Fact("version whose formulas calculated the derived columns")),
    }
    unfit = Fact(
        "only where columns hold what does not fit them (text or bytes for a number, an infinity), as records of other "
        "programs may: what is stored, as SQL writes it, by column; the column itself is null then and counts nowhere"
    )
    fields: list[tuple[Any, ...]] = [(name, described[name]) for name in ALL_COLUMNS]
    return [*fields, (UNFIT, _described(dict[str, str] | msgspec.UnsetType, unfit), msgspec.UNSET)]


RequestItem: Final = msgspec.defstruct(
    "RequestItem", _record_fields(), frozen=True, kw_only=True, forbid_unknown_fields=True
)
RequestPage: Final = msgspec.defstruct(
    "RequestPage",
    [
        ("app_version", Annotated[str, msgspec.Meta(description="version whose definitions this answer follows")]),
        (
            "older_records",
            Annotated[
                dict[str, int],
                msgspec.Meta(
                    description="records selected, on all pages, whose formulas were replaced since, by app_version; "
                    "counted only while a migration is pending"
                ),
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
    *(RequestItem, RequestPage, Summary, Errors, Versions, MigrationNow, Health, Readiness, Settings, ErrorAnswer),
    *(Result, Histogram, Heatmap, Report),
    *(Slos, Alerts),
)
_EVENTS: Final = (LiveStart, LiveSkipped, LiveTotals, LiveProblem)  # data of /api/v1/live; of `record`: RequestItem


def components() -> dict[str, Any]:
    """``components.schemas`` of the OpenAPI document."""
    _, schemas = msgspec.json.schema_components((*_ANSWERS, *_EVENTS), ref_template="#/components/schemas/{name}")
    return dict(sorted(schemas.items()))


def answer(name: str, description: str) -> dict[str, Any]:
    """A response object whose JSON body is the component ``name``."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors_example() -> dict[str, Any]:
    """Two errors among forty requests of one minute, in the shape and words of a real answer."""
    limited, gone = (next(row for row in TAXONOMY if row.type == name) for name in ("rate_limit", "connect_refused"))
    server = {"backend_name": "gpu-1", "backend": "10.0.0.5:8000"}
    counted = {"n": 1, "share": 0.025}
    times = {limited.type: "2026-03-01T12:00:41.118802Z", gone.type: "2026-03-01T12:00:03.250114Z"}
    return {
        "app_version": APP_VERSION,
        "filter": msgspec.to_builtins(RequestFilter(model="llama3.1:8b")),
        "source": "records",
        "pruned_before": None,
        "first_timestamp": "2026-03-01T12:00:00.104220Z",
        "last_timestamp": "2026-03-01T12:00:59.918330Z",
        "requests": 40,
        "errors": 2,
        "share": 0.05,
        "unclassified": 0,
        "older_records": {},
        "categories": [{"category": row.category, **counted} for row in (limited, gone)],
        "types": [{**row._asdict(), **counted, "newest": times[row.type]} for row in (limited, gone)],
        "phases": [{"phase": phase, **counted} for phase in ("before_first_token", "connect")],
        "models": [{"model": "llama3.1:8b", "n": 2, "requests": 40, "share": 0.05}],
        "backends": [{**server, "n": 2, "requests": 40, "share": 0.05}],
        "further_errors": {},
        "bucket_s": 60,
        "buckets": [{"start": "2026-03-01T12:00:00Z", "n": 2, "requests": 40, "share": 0.05}],
        "retry": [
            {
                **server,
                "model": "llama3.1:8b",
                "n": 1,
                "newest": times[limited.type],
                "wait_ms": 2000.0,
                "wait_source": "retry_after",
                "not_before": "2026-03-01T12:00:43.125Z",
                "retry_after_n": 1,
                "retry_after_max_ms": 2000.0,
                "ratelimit_limit_requests": 60.0,
                "ratelimit_remaining_requests": 0.0,
                "ratelimit_reset_requests_ms": 2000.0,
                "ratelimit_limit_tokens": None,
                "ratelimit_remaining_tokens": None,
                "ratelimit_reset_tokens_ms": None,
                "advice": "Wait 2 s, as the newest Retry-After says; 1 of 1 limited answers have one, the longest 2 s.",
            }
        ],
        "examples": [
            {
                "id": 40,
                "request_id": "5b1c27f80f0a4d0d9f5e8c1f2a3b4c5d",
                "timestamp": times[limited.type],
                "model": "llama3.1:8b",
                **server,
                "status_code": 429,
                "upstream_status_code": 429,
                "outcome": "upstream_error",
                "error_category": limited.category,
                "error_type": limited.type,
                "error_phase": "before_first_token",
                "message": "Rate limit reached.",
            }
        ],
    }


# Answers that are worth seeing before asking, by path.
EXAMPLES: Final = {"/api/v1/errors": _errors_example(), **QUERY_EXAMPLES}
