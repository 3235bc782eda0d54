"""Dashboards for Grafana as values, and the documents made of them: Grafana's classic model, which its versions import
and provision."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

_WIDTH: Final = 24  # Grafana's grid
_HEIGHTS: Final = {"stat": 4, "timeseries": 8, "table": 9}


class Link(NamedTuple):
    """From a value of the column ``field`` to a page of this program's dashboard, below the variable ``$proxy``."""

    field: str
    title: str
    path: str


class Panel(NamedTuple):
    """``queries``: what the source's ``target`` takes. ``unit`` in Grafana's words; ``units`` by column."""

    title: str
    unit: str
    queries: tuple[Any, ...]
    kind: str = "timeseries"
    width: int = 12
    about: str = ""
    units: tuple[tuple[str, str], ...] = ()
    links: tuple[Link, ...] = ()


class Row(NamedTuple):
    """A heading; the panels up to the next one are below it."""

    title: str


class GrafanaSource(NamedTuple):
    """A kind of data source. ``kind``: the id of its plugin; ``target``: a query of a panel as that plugin has it."""

    kind: str
    label: str
    target: Callable[[Any, Panel], dict[str, Any]]
    series_name: str | None = None  # of a panel's series, where the query cannot say it


class Variable(NamedTuple):
    """One that the user chooses several values of. ``query`` and ``all_value`` in the words of the source."""

    name: str
    query: Any
    all_value: str | None = None


REFERENCE: Final = "${datasource}"


def document(
    uid: str,
    title: str,
    source: GrafanaSource,
    panels: tuple[Panel | Row, ...],
    variables: tuple[Variable, ...] = (),
    *,
    links_to: str | None = None,
) -> dict[str, Any]:
    """The whole document. ``links_to``: the default of the variable ``proxy``, where the program's page is."""
    choices = [_source_variable(source), *(_variable(source, each) for each in variables)]
    if links_to is not None:
        choices.append(_text_variable("proxy", "LLM Metrics Proxy", links_to))
    return {
        "title": title,
        "uid": uid,
        "tags": ["llm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": choices},
        "panels": _placed(source, panels),
    }


def _placed(source: GrafanaSource, panels: tuple[Panel | Row, ...]) -> list[dict[str, Any]]:
    """From left to right; a row of the grid ends where it is full, and before a heading."""
    found: list[dict[str, Any]] = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, Row):
            x, y = 0, y + height
            found.append({"id": number, "type": "row", "title": panel.title, "collapsed": False, "panels": [],
                          "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": y}})  # fmt: skip
            y, height = y + 1, 0
            continue
        if x + panel.width > _WIDTH:
            x, y, height = 0, y + height, 0
        own = _HEIGHTS[panel.kind]
        found.append(_panel(number, source, panel, {"h": own, "w": panel.width, "x": x, "y": y}))
        x, height = x + panel.width, max(height, own)
    return found


def _panel(number: int, source: GrafanaSource, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    reference = {"type": source.kind, "uid": REFERENCE}
    defaults: dict[str, Any] = {"unit": panel.unit}
    if source.series_name is not None and panel.kind == "timeseries":
        defaults["displayName"] = source.series_name
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": reference,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel)},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": reference, **source.target(query, panel)}
            for index, query in enumerate(panel.queries)
        ],
    }


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    properties: dict[str, list[dict[str, Any]]] = {}
    for field, unit in panel.units:
        properties.setdefault(field, []).append({"id": "unit", "value": unit})
    for link in panel.links:
        url = f"${{proxy}}{link.path}"
        value = [{"title": link.title, "url": url, "targetBlank": True}]
        properties.setdefault(link.field, []).append({"id": "links", "value": value})
    return [{"matcher": {"id": "byName", "options": field}, "properties": own} for field, own in properties.items()]


def _source_variable(source: GrafanaSource) -> dict[str, Any]:
    return {"name": "datasource", "label": source.label, "type": "datasource", "query": source.kind}


def _text_variable(name: str, label: str, value: str) -> dict[str, Any]:
    shown = {"text": value, "value": value}
    return {"name": name, "label": label, "type": "textbox", "query": value, "current": shown, "options": [shown]}


def _variable(source: GrafanaSource, variable: Variable) -> dict[str, Any]:
    chosen = {} if variable.all_value is None else {"allValue": variable.all_value}
    return {
        "name": variable.name,
        "type": "query",
        "datasource": {"type": source.kind, "uid": REFERENCE},
        "query": variable.query,
        "refresh": 2,
        "includeAll": True,
        **chosen,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
