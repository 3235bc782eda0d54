"""Two pages of the reference that the program writes itself: its verbs, and its API.

``tools.write_docs`` renews them, and a test holds them against the program.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import typer

from llm_metrics_proxy.cli.app import PROGRAM, application
from llm_metrics_proxy.config import table as settings_table
from tools import openapi

_MADE: Final = "<!-- Made from the program by `python -m tools.write_docs`; edit the program instead. -->"
_LONGEST_EXAMPLE: Final = 40  # lines; what is longer shows little that its fields do not
_FILTERED: Final = "/api/v1/summary"  # its parameters are the filters, and nothing else


def commands_page() -> str:
    """Every verb with what it takes. Settings are options, too; their own page has them."""
    return "\n".join(_commands())


def _commands() -> Iterator[str]:
    yield f"# Commands\n\n{_MADE}\n"
    yield (
        f"`{PROGRAM} VERB --help` says the same in the terminal. `serve`, `proxy` and `metrics` take every\n"
        "[setting](../settings.md) as an option; other verbs take those that say where the records are. These are not\n"
        "repeated here.\n\n"
        "Exit codes: 0 it is done; 1 it failed, and says why on standard error; 2 wrong use; 130 interrupted. Some\n"
        "verbs have further ones, which their own pages name.\n"
    )
    group = typer.main.get_command(application())
    yield from _verbs(group, group.make_context(PROGRAM, [], resilient_parsing=True), PROGRAM)


def _verbs(group: Any, context: Any, prefix: str) -> Iterator[str]:
    flags = {flag for row in settings_table.rows().values() for flag in row.flag.split("/")}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "list_commands"):
            yield from _verbs(command, inner, f"{prefix} {name}")
            continue
        yield f"## `{prefix.removeprefix(PROGRAM)} {name}`\n".replace("` ", "`")
        yield f"{(command.help or '').strip()}\n"
        rows = [row for one in command.params if not flags & set(one.opts) and (row := _option(one))]
        if rows:
            yield "\n".join(["| option | meaning |", "| --- | --- |", *rows, ""])


def _option(option: Any) -> str | None:
    if "--help" in option.opts or getattr(option, "hidden", False):
        return None
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.param_type_name == "argument":
        names = f"`{(option.metavar or option.name).upper()}`"
    return f"| {names} | {_cell(option.help or '')} |"


def api_page() -> str:
    """Every path with its parameters and what it answers."""
    return "\n".join(_paths(json.loads(openapi.document())))


def _paths(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# API\n\n{_MADE}\n"
    yield (
        "A running program shows the same at `/docs`, with a field for every parameter and a button that asks, and as\n"
        f"OpenAPI at <http://127.0.0.1:8002/openapi.json>.\n\n{document['info']['description']}\n\n"
        "How questions are put together is in [analytics](../topics/analytics.md), what every number means in\n"
        "[metrics](../metrics.md). With `metrics_token` set, every path but `/health` and `/ready` needs\n"
        "`Authorization: Bearer TOKEN`.\n"
    )
    filters = {one["name"]: one for one in document["paths"][_FILTERED]["get"]["parameters"]}
    yield "## Filters\n\nEvery question about records takes these; they select the records that it is about.\n"
    yield _table(filters.values())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation, filters, document)


def _operation(
    heading: str, operation: Mapping[str, Any], filters: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    own = [one for one in parameters if one["name"] not in filters]
    yield f"## `{heading}`\n\n{operation['summary']}.\n"
    if len(parameters) - len(own) > len(filters) // 2:
        yield "Takes the [filters](#filters)" + (", and:\n" if own else ".\n")
    if own:
        yield _table(own)
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue
        yield f"Answers {status}: {answer['description']}\n"
        content = answer.get("content", {}).get("application/json", {})
        shown = json.dumps(content.get("example"), indent=2, ensure_ascii=False)
        fields = _fields(content.get("schema", {}), document)
        if "example" in content and shown.count("\n") < _LONGEST_EXAMPLE:
            yield f"```json\n{shown}\n```\n"
        elif fields:
            yield f"Its fields: {', '.join(f'`{name}`' for name in fields)}.\n"


def _fields(schema: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return list(document["components"]["schemas"].get(name, {}).get("properties", {}))


def _table(parameters: Any) -> str:
    rows = [f"| `{one['name']}` | {_kind(one['schema'])} | {_cell(one.get('description', ''))} |" for one in parameters]
    return "\n".join(["| parameter | kind | meaning |", "| --- | --- | --- |", *rows, ""])


def _kind(schema: Mapping[str, Any]) -> str:
    choices = schema.get("enum")
    if choices:
        return _cell(", ".join(f"`{one}`" for one in choices))
    return str(schema.get("type") or " or ".join(_kind(one) for one in schema.get("anyOf", ())))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
