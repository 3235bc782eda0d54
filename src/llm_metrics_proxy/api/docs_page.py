"""A page that shows the OpenAPI document to people, and asks what they want to try: nothing in it is from elsewhere.

Swagger UI comes from a CDN, which a closed network cannot reach and the content security policy forbids.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from llm_metrics_proxy.api.docs_parts import SCRIPT, STYLE, source_of

CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src {source_of(STYLE)}; script-src {source_of(SCRIPT)}; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI 3.1 document."""
    return "".join(_page(document))


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f'<style>{STYLE}</style></head><body><div class="page">'
    yield from _contents(document)
    yield f"<main><h1>{escape(title)}</h1><p>{_text(info['description'])}</p>"
    yield '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>'
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)
    yield '<h1 id="shapes">Shapes</h1>'
    for name, schema in document["components"]["schemas"].items():
        yield f'<section id="{escape(name)}"><h2>{escape(name)}</h2><p>{_text(schema.get("description", ""))}</p>'
        yield _list(
            [
                (f"<code>{escape(field)}</code>", " · ".join(filter(None, (_type(of), _unit(of)))), _meaning(of))
                for field, of in schema.get("properties", {}).items()
            ]
        )
        yield "</section>"
    yield f"</main></div><script>{SCRIPT}</script></body></html>"


def _contents(document: dict[str, Any]) -> Iterator[str]:
    """Where everything stands: paths by their first tag, in the order of the document."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = next(iter(operation.get("tags", ())), "other")
            link = f'<li><a href="#{_place(method, path)}">{escape(path.removeprefix("/api/v1"))}</a></li>'
            groups.setdefault(str(tag), []).append(link)
    yield '<nav aria-label="Contents">'
    for tag, links in groups.items():
        yield f"<b>{escape(tag.capitalize())}</b><ul>{''.join(links)}</ul>"
    yield '<ul><li><a href="#shapes">Shapes</a></li></ul></nav>'


def _place(method: str, path: str) -> str:
    return escape(f"{method}-{path.strip('/').replace('/', '-')}")


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    """One path: what it takes, with a field for each, a button that asks, and what it answers."""
    parameters = operation.get("parameters", [])
    yield f'<section id="{_place(method, path)}"><h2><span class="method">{escape(method.upper())}</span> '
    yield f"<code>{escape(path)}</code></h2><p>{_text(operation.get('summary', ''))}.</p>"
    if method == "get":
        yield f'<form data-path="{escape(path)}">'
    if parameters:
        rows = (
            f"<div><dt><code>{escape(one['name'])}</code>{_kind(_type(one['schema']))}</dt><dd>{_meaning(one)}</dd>"
            f"<dd>{_field(one)}</dd></div>"
            for one in parameters
        )
        yield f"<details{' open' if len(parameters) <= _FEW else ''}><summary>Parameters</summary>"
        yield f'<dl class="values">{"".join(rows)}</dl></details>'
    if method == "get":
        yield '<div class="send"><button type="submit">Send</button>'
        yield '<span class="status" role="status"></span></div>'
        yield '<pre tabindex="0" aria-label="Answer" hidden></pre></form>'
    yield "<h3>Answers</h3>"
    yield _list(
        [
            (
                f"<code>{escape(status)}</code>",
                _type(answer.get("content", {}).get("application/json", {}).get("schema", {})),
                _text(answer["description"]),
            )
            for status, answer in operation["responses"].items()
        ]
    )
    yield "</section>"


_FEW: Final = 8  # so many parameters do not push the button out of sight


def _field(parameter: dict[str, Any]) -> str:
    """Where a value for this parameter is given; empty: it is not sent."""
    schema = parameter["schema"]
    name, where = escape(parameter["name"]), escape(parameter.get("in", "query"))
    common = f'name="{name}" data-in="{where}" aria-label="{name}"'
    choices = _choices(schema)
    if choices:
        options = "".join(f"<option>{escape(str(choice))}</option>" for choice in choices)
        return f'<select {common}><option value=""></option>{options}</select>'
    needed = " required" if parameter.get("required") else ""
    default = schema.get("default")
    shown = "" if default is None else escape(str(default))
    return f'<input {common} placeholder="{shown}" autocomplete="off"{needed}>'


def _choices(schema: dict[str, Any]) -> Sequence[Any]:
    if schema.get("type") == "boolean":
        return ("true", "false")
    found = [choice for one in (schema, *schema.get("anyOf", ())) for choice in one.get("enum", ())]
    return found if all(isinstance(choice, str) for choice in found) else ()


def _kind(words: str) -> str:
    return f'<span class="type">{words}</span>'


def _list(rows: Sequence[tuple[str, str, str]]) -> str:
    """``rows`` are a name, its kind and its meaning, as HTML already; without any, nothing."""
    if not rows:
        return ""
    body = "".join(f"<div><dt>{name}{_kind(kind)}</dt><dd>{meaning}</dd></div>" for name, kind, meaning in rows)
    return f"<dl>{body}</dl>"


def _type(schema: dict[str, Any]) -> str:
    """A schema's type in a few words, with links to the shapes it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map to {_type(schema['additionalProperties'])}"
    return escape(str(schema.get("type") or schema.get("format") or "string"))


def _unit(schema: dict[str, Any]) -> str:
    return escape(schema.get("x-unit", ""))


def _meaning(described: dict[str, Any]) -> str:
    schema = described.get("schema", described)
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema]
    words = described.get("description", schema.get("description", ""))
    return _text(f"{words} {'; '.join(limits).capitalize()}." if limits else words)


_LIMITS: Final = {"minimum": "at least", "maximum": "at most", "default": "by default"}


def _text(words: str) -> str:
    """Escaped; a pair of back-ticks becomes code."""
    parts = escape(words).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
