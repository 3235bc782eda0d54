"""A page that shows the OpenAPI document to people: plain HTML, made here, with no script and nothing from elsewhere.

Swagger UI comes from a CDN, which a closed network cannot reach and the content security policy forbids.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from html import escape
from typing import Any, Final

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1c2430;background:#fff;
overflow-wrap:anywhere}
h2{margin-top:2.5rem;border-bottom:1px solid #d5dae1}
code,.method{font:.95em ui-monospace,monospace;background:#eef1f5;padding:.1em .3em;border-radius:.2em}
.method{font-weight:600}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #e4e8ed}
@media(max-width:30rem){th{display:none}td{display:block;padding:.1rem 0;border:0}
tr{display:block;padding:.4rem 0;border-bottom:1px solid #e4e8ed}}
@media(prefers-color-scheme:dark){body{color:#dde3ea;background:#14181d}code,.method{background:#262d36}
th,td,h2{border-color:#38414c}a{color:#8ab4f8}}
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI 3.1 document."""
    return "".join(_page(document))


def _page(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>{_text(info['description'])}</p>"
    yield '<p>For programs: <a href="openapi.json">openapi.json</a>.</p>'
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(method, path, operation)
    yield "<h1>Shapes</h1>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{_text(schema.get("description", ""))}</p>'
        properties = schema.get("properties", {}).items()
        yield _table(
            ("field", "type", "unit", "meaning"),
            [(f"<code>{escape(field)}</code>", _type(of), _unit(of), _meaning(of)) for field, of in properties],
        )
    yield "</body></html>"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code></h2>'
    yield f"<p>{_text(operation.get('summary', ''))}.</p>"
    parameters = operation.get("parameters", [])
    yield _table(
        ("parameter", "type", "meaning"),
        [(f"<code>{escape(one['name'])}</code>", _type(one["schema"]), _meaning(one)) for one in parameters],
    )
    rows = []
    for status, answer in operation["responses"].items():
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        rows.append((f"<code>{escape(status)}</code>", _type(schema), _text(answer["description"])))
    yield _table(("status", "body", "meaning"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """``rows`` are HTML already; without any, nothing."""
    if not rows:
        return ""
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


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
