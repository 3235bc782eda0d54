"""The settings table, read from ``config.Settings``: one row per setting, and what is generated from the rows.

Flags, environment names, TOML keys and error messages come from these rows. ``docs/settings.md`` and
``config/values.py`` are written by ``python -m llm_metrics_proxy.config.table``; tests fail when they are out of date.
"""

import sys
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from llm_metrics_proxy.config.settings import ENV_PREFIX, Settings
from llm_metrics_proxy.config.toml_tables import TOML_TABLES

CONFIG_FLAG: Final = "--config"
CONFIG_ENVIRONMENT: Final = ENV_PREFIX + "CONFIG"
_UNITS: Final = {  # by how a name ends
    "_bytes_per_s": "bytes/s", "_s": "s", "_ms": "ms", "_bytes": "bytes", "_rows": "rows", "_days": "days",
    "_usd_per_mtok": "USD per million tokens",
}  # fmt: skip
_SIZE_STEPS: Final = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))

_HEAD: Final = f"""\
# Settings

<!-- Made from the settings table by `python -m llm_metrics_proxy.config.table`; edit `config/settings.py` instead. -->

Every setting can be given in four ways. The first one present wins:

1. a flag: `llm-metrics-proxy serve --port 9000`
2. an environment variable: `LLM_METRICS_PROXY_PORT=9000`; an empty one counts as absent
3. a key in a TOML file, named by `{CONFIG_FLAG} file.toml` or `{CONFIG_ENVIRONMENT}`: `port = 9000`
4. a variable of earlier deployments: `BACKEND_HOST` and `BACKEND_PORT` (the backend), `PROXY_PORT`, `METRICS_PORT`,
   `DB_PATH` (the database; its folder becomes `data_dir`)

Lists are repeated flags, comma-separated texts, or TOML arrays. Sizes are bytes, or end in `KiB`, `MiB`, `GiB`,
`kB`, `MB` or `GB`. Switches are `true` or `false`; as flags `--insecure` and `--no-insecure`. Unknown keys and unknown
`{ENV_PREFIX}*` variables are errors. `llm-metrics-proxy doctor` shows every value and where it came from.

Kubernetes and Docker set variables for a container's neighbouring services that can look like these
(`{ENV_PREFIX}PORT=tcp://10.0.0.7:8001` for a service named `llm-metrics-proxy`). They are ignored; `doctor` lists them.

Signals: `SIGTERM` and `SIGINT` stop gracefully (open requests end, then the last records are stored); a second one
stops at once. `SIGHUP` reads the file again: see [Backends](topics/backends.md#reload).
"""

_TABLE_KEYS: Final = """
Keys of a table `[[%s]]`:

| key | default | unit | allowed | meaning |
|---|---|---|---|---|
"""

_VALUES_HEAD: Final = '''\
"""The settings as processes get them, plain values by name; without secrets and tables of the file.

Light to import, because each worker does. Made from the settings table by `python -m llm_metrics_proxy.config.table`;
edit `config/settings.py` instead.
"""

from typing import Literal

import msgspec


class SettingValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``docs/settings.md`` explains each; paths are absolute."""

'''


class SettingRow(NamedTuple):
    """One setting. ``default`` and ``allowed`` are words for people; ``allowed`` completes "must be …"."""

    name: str
    flag: str
    environment: str
    group: str
    default: str
    unit: str
    allowed: str
    meaning: str
    is_switch: bool
    is_list: bool
    is_secret: bool
    toml_only: bool
    no_flag: bool
    explained: bool  # an error says why the value is wrong, not only what is allowed
    reload: bool  # SIGHUP reads it again
    choices: tuple[str, ...] = ()  # all that it can be, where that is a few words
    is_path: bool = False

    @property
    def flags(self) -> str:
        """As typed on a command line; a switch can be turned off too."""
        return f"{self.flag}/--no-{self.flag[2:]}" if self.is_switch else self.flag


def rows() -> dict[str, SettingRow]:
    """Every setting by name, in the table's order."""
    return {name: _row(name, field) for name, field in Settings.model_fields.items()}


def table_rows(table: str) -> dict[str, SettingRow]:
    """Every key of a table such as ``[[backends]]``, described like a setting."""
    return {name: _row(name, field) for name, field in TOML_TABLES[table].model.model_fields.items()}


def values_of(settings: Settings) -> dict[str, Any]:
    """What ``SettingValues`` holds of these settings."""
    values = {name: getattr(settings, name) for name, row in rows().items() if _is_plain(row)}
    return {name: str(value.absolute()) if isinstance(value, Path) else value for name, value in values.items()}


def _is_plain(row: SettingRow) -> bool:
    return not row.toml_only and not row.is_secret


def values_module() -> str:
    """The whole of ``config/values.py``."""
    fields = Settings.model_fields
    return _VALUES_HEAD + "".join(
        f"    {name}: {_plain_type(fields[name].annotation)}\n" for name, row in rows().items() if _is_plain(row)
    )


def _plain_type(annotation: Any) -> str:
    """Its source text, as JSON has it."""
    kinds = [
        f"list[{_plain_type(get_args(kind)[0])}]" if get_origin(kind) is list
        else "Literal[" + ", ".join(f'"{choice}"' for choice in get_args(kind)) + "]" if get_origin(kind) is Literal
        else {Path: "str", type(None): "None"}.get(kind, kind.__name__)
        for kind in _kinds(annotation)
    ]  # fmt: skip
    return " | ".join(kinds)


def markdown() -> str:
    """The whole of ``docs/settings.md``."""
    table = rows()
    parts = [_HEAD]
    for group in dict.fromkeys(row.group for row in table.values()):
        parts.append(f"\n## {group}\n\n")
        parts.append("| setting (TOML key) | flag | environment | default | unit | allowed | meaning |\n")
        parts.append("|---|---|---|---|---|---|---|\n")
        for row in table.values():
            if row.group == group:
                cells = (
                    f"`{row.name}`",
                    "" if row.toml_only or row.no_flag else f"`{row.flags}`",
                    "" if row.toml_only else f"`{row.environment}`",
                    row.default,
                    row.unit,
                    row.allowed,
                    row.meaning,
                )
                parts.append(_line(cells))
        for name in (row.name for row in table.values() if row.group == group and row.name in TOML_TABLES):
            parts.append(_TABLE_KEYS % name)
            parts += [
                _line((f"`{row.name}`", row.default, row.unit, row.allowed, row.meaning))
                for row in table_rows(name).values()
            ]
    return "".join(parts)


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _row(name: str, field: FieldInfo) -> SettingRow:
    words = field.json_schema_extra
    assert isinstance(words, dict)
    kinds = _kinds(field.annotation)
    unit = next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")
    return SettingRow(
        name=name,
        flag="--" + name.replace("_", "-"),
        environment=ENV_PREFIX + name.upper(),
        group=str(words["group"]),
        default=str(words["shown_default"]) or ("required" if field.is_required() else _shown(field.default, unit)),
        unit=unit,
        allowed=str(words["allowed"]) or _allowed(field, kinds, unit),
        meaning=field.description or "",
        is_switch=bool in kinds,
        is_list=not words["toml_only"] and any(get_origin(kind) is list for kind in kinds),
        is_secret=SecretStr in kinds,
        toml_only=bool(words["toml_only"]),
        no_flag=bool(words["no_flag"]),
        explained=bool(words["explained"]),
        reload=bool(words["reload"]),
        choices=next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ()),
        is_path=Path in kinds or name.endswith("_file"),
    )


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The types that a value can have: the members of a union, without ``Annotated``'s wrapping."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return _kinds(get_args(annotation)[0])
    if origin is None or origin in {list, Literal}:
        return (annotation,)
    return tuple(kind for member in get_args(annotation) for kind in _kinds(member))


def _allowed(field: FieldInfo, kinds: tuple[Any, ...], unit: str) -> str:
    if bool in kinds:
        return "true or false"
    for kind in kinds:
        if get_origin(kind) is Literal:
            *first, last = get_args(kind)
            return f"{', '.join(first)} or {last}"
    noun = {"bytes": "a size"}.get(unit, "a whole number" if int in kinds else "a number")
    low = next(rule.ge for rule in field.metadata if isinstance(rule, Ge))
    high = next(rule.le for rule in field.metadata if isinstance(rule, Le))
    return f"{noun} from {_shown(low, unit)} to {_shown(high, unit)}"


def _shown(value: Any, unit: str) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if unit == "bytes":
        name, step = next(((name, step) for name, step in _SIZE_STEPS if value % step == 0), ("bytes", 1))
        return f"{value // step} {name}"
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "docs/settings.md").write_text(markdown(), encoding="utf-8")
    Path(__file__).with_name("values.py").write_text(values_module(), encoding="utf-8")
