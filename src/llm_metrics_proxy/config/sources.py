"""Which value of a setting counts, and where it came from.

Layers, strongest first: flags, environment, TOML file, variables of earlier deployments, defaults. All problems of
all layers are reported at once, one line each: ``what (from where): what is allowed``. A line never has a secret's
value or credentials in a URL.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from llm_metrics_proxy.config.backends import keys_of
from llm_metrics_proxy.config.identity import SECTION
from llm_metrics_proxy.config.service_links import is_service_link
from llm_metrics_proxy.config.settings import CROSS_CHECK, ENV_PREFIX, Settings
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT, CONFIG_FLAG, SettingRow, rows, table_rows
from llm_metrics_proxy.config.tokens import digests_of
from llm_metrics_proxy.config.toml_lines import TomlLines
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.store_address import store_address

DEFAULT: Final = "default"
EARLIER_NAMES: Final = frozenset({"BACKEND_HOST", "BACKEND_PORT", "PROXY_PORT", "METRICS_PORT", "DB_PATH"})  # version 1
_MAX_SHOWN_CHARS: Final = 80


class GivenValue(NamedTuple):
    """A value as it was given, before validation; ``origin`` for people: ``flag --port``.

    ``file`` and ``lines`` are there for what a file gave: they know on which line each part of the value stands.
    """

    value: Any
    origin: str
    file: Path | None = None
    lines: TomlLines | None = None


class Loaded(NamedTuple):
    """The settings and, by name, where each value came from."""

    settings: Settings
    origins: dict[str, str]
    config_file: Path | None
    flags: Mapping[str, Any] = {}  # as they were given, so that they can be given again
    api_keys: Mapping[str, SecretStr] = {}  # of backends, by their names
    links: tuple[str, ...] = ()  # variables that an orchestrator injected: they look like settings but are not
    token_digests: Mapping[str, str] = {}  # SHA-256 of each of ``tokens``, by their names


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None = None) -> Loaded:
    """Merge the layers and validate once.

    ``flags`` holds only what was given, by setting name; ``config_file`` is what ``--config`` named. Raises
    ``SettingsError`` with every problem.
    """
    table = rows()
    problems: list[str] = []
    variables = {name: value for name, value in environment.items() if not is_service_link(name, value)}
    chosen_file, file_origin = config_file, CONFIG_FLAG
    if chosen_file is None and variables.get(CONFIG_ENVIRONMENT):
        chosen_file, file_origin = Path(variables[CONFIG_ENVIRONMENT]), f"environment {CONFIG_ENVIRONMENT}"

    given: dict[str, GivenValue] = {}
    given |= _earlier_deployments(variables)
    if chosen_file is not None:
        given |= _toml_layer(chosen_file, file_origin, table, problems)
    given |= _environment_layer(variables, table, problems)
    given |= {name: GivenValue(value, f"flag {table[name].flag}") for name, value in flags.items()}

    unreadable = [name for name, item in given.items() if not _is_utf8(item.value)]
    problems += [_problem(table[name], given.pop(name), "must be UTF-8 (SQLite names files so)") for name in unreadable]
    settings = _validate(given, table, problems)
    keys: dict[str, str] = {}
    digests: dict[str, str] = {}
    if settings is not None:
        keys, faults = keys_of(settings.backends, environment)
        digests, token_faults = digests_of(settings.tokens, settings.metrics_token, environment)
        problems += faults + token_faults
    if settings is None or problems:
        raise SettingsError(problems)
    origins = {name: given[name].origin if name in given else DEFAULT for name in table}
    api_keys = {name: SecretStr(key) for name, key in keys.items()}
    links = tuple(sorted(name for name in environment.keys() - variables.keys() if _looks_like_ours(name)))
    return Loaded(settings, origins, chosen_file, dict(flags), api_keys, links, digests)


def _is_utf8(value: Any) -> bool:
    """Python passes bytes that are not text as lone surrogates."""
    return not isinstance(value, str) or not re.search("[\ud800-\udfff]", value)


def _looks_like_ours(name: str) -> bool:
    return name.startswith(ENV_PREFIX) or name in EARLIER_NAMES


def _earlier_deployments(variables: Mapping[str, str]) -> dict[str, GivenValue]:
    """What the variables of version 1 mean; its defaults for half a backend were localhost and 8000."""
    given = {}
    host, port = variables.get("BACKEND_HOST"), variables.get("BACKEND_PORT")
    if host or port:
        names = " and ".join(name for name in ("BACKEND_HOST", "BACKEND_PORT") if variables.get(name))
        url = host if host and "://" in host else f"http://{host or 'localhost'}:{port or 8000}"
        given["backend"] = GivenValue(url, f"environment {names}")
    for variable, name in (("PROXY_PORT", "port"), ("METRICS_PORT", "metrics_port")):
        if variables.get(variable):
            given[name] = GivenValue(variables[variable], f"environment {variable}")
    if variables.get("DB_PATH"):
        given["db_path"] = GivenValue(variables["DB_PATH"], "environment DB_PATH")
        given["data_dir"] = GivenValue(str(Path(variables["DB_PATH"]).parent), "environment DB_PATH")
    return given


def _toml_layer(path: Path, origin: str, table: Mapping[str, SettingRow], problems: list[str]) -> dict[str, GivenValue]:
    try:
        path.stat()  # pydantic-settings takes a file that is not there for an empty one
        values = TomlConfigSettingsSource(Settings, path)()
    except OSError as error:
        problems.append(f"{path} ({origin}): cannot be read: {error.strerror}")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{path} ({origin}): is not TOML: {error}")
        return {}
    lines = TomlLines(path.read_text(encoding="utf-8"))
    if SECTION in values:
        section = values.pop(SECTION)
        if isinstance(section, dict):
            inside = _section(section)
            problems.extend(
                f"{name!r} ({path}{_on(lines.of(name))}): is there twice, alone and in [{SECTION}]"
                for name in inside.keys() & values.keys()
            )
            values |= inside
        else:
            problems.append(f"{SECTION!r} ({path}{_on(lines.of(SECTION))}): must be one table, [{SECTION}]")
    problems.extend(
        f"{key!r} ({path}{_on(lines.of(key))}): is not a setting{_did_you_mean(key.replace('-', '_'), table)}"
        for key in values
        if key not in table
    )
    return {
        name: GivenValue(value, f"{path}{_on(lines.of(name))}, key {name}", path, lines)
        for name, value in values.items()
        if name in table
    }


def _section(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the keys of ``[identity]`` are; those that have its name in front already stay as they are."""
    front = f"{SECTION}_"
    return {key if key.startswith(front) else front + key: value for key, value in keys.items()}


def _on(line: int | None) -> str:
    return "" if line is None else f" line {line}"


def _environment_layer(
    variables: Mapping[str, str], table: Mapping[str, SettingRow], problems: list[str]
) -> dict[str, GivenValue]:
    known = {row.environment: name for name, row in table.items() if not row.toml_only}
    problems.extend(
        f"{variable} (environment): is not a setting{_did_you_mean(variable, known)}"
        for variable in sorted(variables)
        if variable.startswith(ENV_PREFIX) and variable not in known and variable != CONFIG_ENVIRONMENT
    )
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in variables.items() if name in known and value}
    return {name: GivenValue(value, f"environment {table[name].environment}") for name, value in source().items()}


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "; `llm-metrics-proxy doctor` lists them all"


def _validate(given: Mapping[str, GivenValue], table: Mapping[str, SettingRow], problems: list[str]) -> Settings | None:
    """The settings, or ``None`` with a problem added for every wrong one and every contradiction between good ones."""
    settings, faults = _attempt(given)
    wrong = {str(fault["loc"][0]) for fault in faults if fault["loc"]} & given.keys()
    for name, row in table.items():
        if name in wrong:
            inner = [fault for fault in faults if fault["loc"][:1] == (name,) and _is_inside(fault)]
            if name in TOML_TABLES and inner:
                problems.extend(dict.fromkeys(_table_problem(name, fault, given[name]) for fault in inner))
            else:
                why = next((fault.get("ctx", {}).get("error") for fault in faults if fault["loc"][:1] == (name,)), None)
                because = f"{why}; it " if row.explained and why is not None else ""
                problems.append(_problem(row, given[name], f"{because}must be {row.allowed}"))
    if wrong:  # contradictions are only checked among valid values, so check again without the invalid ones
        _, faults = _attempt({name: item for name, item in given.items() if name not in wrong})
    for fault in faults:
        if fault["type"] == CROSS_CHECK:
            for name, (fields, text) in fault["ctx"]["faults"].items():
                if not wrong & set(fields):
                    default = GivenValue(Settings.model_fields[name].default, DEFAULT)
                    problems.append(_problem(table[name], given.get(name, default), text))
    return settings


def _attempt(given: Mapping[str, GivenValue]) -> tuple[Settings | None, Sequence[Any]]:
    try:
        return Settings(**{name: item.value for name, item in given.items()}), ()
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _is_inside(fault: Any) -> bool:
    """About one table of an array: a key of it, or what its keys say together."""
    return len(fault["loc"]) > 2 or (len(fault["loc"]) == 2 and fault["type"] == "value_error")


def _table_problem(name: str, fault: Any, given: GivenValue) -> str:
    """One line for a key of a table such as ``[[backends]]``: on which line it stands, and what is wrong with it."""
    _, index, *inside = fault["loc"]
    key = str(inside[0]) if inside else None
    at_head = key is None or fault["type"] == "missing"
    line = None if given.lines is None else given.lines.of_table(name, index, None if at_head else key)
    what, where = f"{name}[{index}]", f"({given.file}{_on(line)})"
    reason = fault.get("ctx", {}).get("error")
    if key is None:
        return f"{what} {where}: {reason}"
    kind, known = TOML_TABLES[name], table_rows(name)
    what += f".{key}"
    if fault["type"] == "missing":
        return f"{what} {where}: is missing; it must be {known[key].allowed}"
    if fault["type"] == "extra_forbidden":
        return f"{what} {where}: is not a key of {kind.noun}{_did_you_mean(key, known)}"
    value = "***" if key in kind.hidden else shown(known[key], given.value[index][key])
    because = f"{reason}; it " if isinstance(reason, ValueError) and key in kind.explained else ""
    return f"{what} = {value} {where}: {because}must be {known[key].allowed}"


def _problem(row: SettingRow, given: GivenValue, text: str) -> str:
    return f"{row.name} = {shown(row, given.value)} ({given.origin}): {text}"


def shown(row: SettingRow, value: Any) -> str:
    """A value fit for a screen: secrets hidden, control characters escaped, cut to 80 characters."""
    if value is None:
        return "none"
    if row.is_secret:
        return "***"
    if isinstance(value, bool):
        return str(value).lower()
    if row.name in TOML_TABLES and isinstance(value, list):  # names alone: what else they hold may be secret
        label = TOML_TABLES[row.name].label
        names = [getattr(each, label) if isinstance(each, BaseModel) else each.get(label) for each in _tables(value)]
        return ", ".join(map(str, names)) or "none"
    text = repr(str(value)) if isinstance(value, str | Path) else repr(value)
    # Refused with credentials or a query, which must not end up in a log either.
    if row.name in {"backend", "url"} or (row.name == "store" and not _is_store(value)):
        text = re.sub(r"^(.*?//|')?.*@", r"\1***@", text, flags=re.DOTALL)
        text = re.sub(r"\?.*", "?***'", text, flags=re.DOTALL)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"


def _is_store(value: Any) -> bool:
    try:
        store_address(str(value))
    except ValueError:
        return False
    return True


def settings_table(loaded: Loaded) -> list[dict[str, str]]:
    """Every setting as it may be shown."""
    return [
        {
            "name": name,
            "group": row.group,
            "value": shown(row, getattr(loaded.settings, name)).strip("'"),
            "origin": loaded.origins[name],
            "meaning": row.meaning,
        }
        for name, row in rows().items()
    ]


def _tables(value: list[Any]) -> list[Any]:
    return [each for each in value if isinstance(each, dict | BaseModel)]
