"""Which value of a setting counts, and where it came from.

Layers, strongest first: flags, environment, TOML file, variables of earlier deployments, defaults. All problems of
all layers are reported at once, one line each: ``what (from where): what is allowed``. A line never has a secret's
value or credentials in a URL.
"""

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr, ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from llm_metrics_proxy import extras
from llm_metrics_proxy.config.backends import keys_of
from llm_metrics_proxy.config.faults import (
    GivenValue,
    SettingFault,
    did_you_mean,
    in_file,
    of_setting,
    of_table_key,
    on_line,
    shown,
)
from llm_metrics_proxy.config.identity import SECTION
from llm_metrics_proxy.config.service_links import is_service_link
from llm_metrics_proxy.config.settings import CROSS_CHECK, ENV_PREFIX, Settings
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT, CONFIG_FLAG, SettingRow, rows
from llm_metrics_proxy.config.tokens import digests_of
from llm_metrics_proxy.config.toml_lines import TomlLines
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.errors import MissingExtraError, SettingsError
from llm_metrics_proxy.store_address import store_address

DEFAULT: Final = "default"
_NOTHING: Final = Path("/dev/null")  # how one says: no file
_DEEPEST: Final = 32  # tables and lists in each other; settings need few
EARLIER_NAMES: Final = frozenset({"BACKEND_HOST", "BACKEND_PORT", "PROXY_PORT", "METRICS_PORT", "DB_PATH"})  # version 1


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
    ``SettingsError`` with every problem, each a ``SettingFault``.
    """
    loaded, problems = examine(flags, environment, config_file)
    if loaded is None:
        raise SettingsError(problems)
    return loaded


def examine(
    flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None = None
) -> tuple[Loaded | None, list[SettingFault]]:
    """As ``load``: the settings, or none and everything that is wrong."""
    table = rows()
    problems: list[SettingFault] = []
    given, chosen_file, variables = _collected(flags, environment, config_file, table, problems)
    problems += [
        of_setting(table[name], given.pop(name), "must be UTF-8 (SQLite names files so)")
        for name in [name for name, item in given.items() if not _is_utf8(item.value)]
    ]
    settings = _validate(given, table, problems)
    # Although others are wrong, these may be sound, and what they name in the environment be missing.
    backends = settings or _alone(given, "backends")
    tokens = settings or _alone(given, "tokens", "metrics_token")
    keys, faults = ({}, []) if backends is None else keys_of(backends.backends, environment)
    problems += _of_tables("backends", faults, given)
    digests, faults = ({}, []) if tokens is None else digests_of(tokens.tokens, tokens.metrics_token, environment)
    problems += _of_tables("tokens", faults, given)
    problems += [] if settings is None else _missing_extras(settings, given, table)
    if settings is None or problems:
        return None, problems
    origins = {name: given[name].origin if name in given else DEFAULT for name in table}
    api_keys = {name: SecretStr(key) for name, key in keys.items()}
    links = tuple(sorted(name for name in environment.keys() - variables.keys() if _looks_like_ours(name)))
    return Loaded(settings, origins, chosen_file, dict(flags), api_keys, links, digests), []


def _collected(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    config_file: Path | None,
    table: Mapping[str, SettingRow],
    problems: list[SettingFault],
) -> tuple[dict[str, GivenValue], Path | None, dict[str, str]]:
    """What every layer gives, the strongest first; the file; and the variables that are no links to services."""
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
    return given, chosen_file, variables


def wants_json_logs(flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None) -> bool:
    """Whether ``log_format`` is json, although other settings may be wrong."""
    given, _, _ = _collected(flags, environment, config_file, rows(), [])
    return "log_format" in given and str(given["log_format"].value).lower() == "json"


def _alone(given: Mapping[str, GivenValue], *names: str) -> Settings | None:
    """These settings without the others; none if they are wrong themselves."""
    settings, _ = _attempt({name: given[name] for name in names if name in given})
    return settings


def _of_tables(name: str, faults: Iterable[str], given: Mapping[str, GivenValue]) -> list[SettingFault]:
    """Faults that begin with ``name[index]``, with their place."""
    item = given.get(name)
    found = []
    for text in faults:
        index = re.match(rf"{name}\[(\d+)\]", text)
        lines = None if item is None or index is None else item.lines
        line = None if lines is None or index is None else lines.of_table(name, int(index[1]), None)
        found.append(SettingFault.at(text, name, None if item is None else item.file, line))
    return found


def _missing_extras(
    settings: Settings, given: Mapping[str, GivenValue], table: Mapping[str, SettingRow]
) -> list[SettingFault]:
    """Settings that take a part of the package which is not installed: told at once, not by the first use."""
    asked: dict[str, extras.ExtraName] = {}
    if store_address(settings.store) is not None:
        asked["store"] = "clickhouse"
    if settings.otlp_endpoint is not None:
        asked["otlp_endpoint"] = "otlp"
    problems = []
    for name, extra in asked.items():
        try:
            extras.need(extra, "it")
        except MissingExtraError as error:
            problems.append(of_setting(table[name], given[name], str(error)))
    return problems


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


def _toml_layer(
    path: Path, origin: str, table: Mapping[str, SettingRow], problems: list[SettingFault]
) -> dict[str, GivenValue]:
    try:
        # pydantic-settings takes what is no file for an empty one, and a pipe would be waited for without end.
        if not stat.S_ISREG(path.stat().st_mode) and path != _NOTHING:
            problems.append(_of_file(path, origin, "is no regular file: name one in TOML"))
            return {}
        values = TomlConfigSettingsSource(Settings, path)()
        lines: TomlLines | None = TomlLines(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(_of_file(path, origin, f"cannot be read: {error.strerror}"))
        return {}
    except RecursionError:
        values, lines = {}, None
    except ValueError as error:  # no TOML, no UTF-8, or a number with too many digits
        place = re.search(r"at line (\d+)", str(error))  # an attribute from Python 3.14 on
        line = None if place is None else int(place[1])
        problems.append(_of_file(path, origin, f"is not TOML: {error}", line))
        return {}
    if lines is None or _is_deeper(values, _DEEPEST):
        problems.append(_of_file(path, origin, "is nested too deep: settings are flat"))
        return {}
    if SECTION in values:
        section = values.pop(SECTION)
        if isinstance(section, dict):
            inside = _section(section)
            problems.extend(
                in_file(repr(name), path, lines.of(name), f"is there twice, alone and in [{SECTION}]", name)
                for name in inside.keys() & values.keys()
            )
            values |= inside
        else:
            problems.append(in_file(repr(SECTION), path, lines.of(SECTION), f"must be one table, [{SECTION}]"))
    problems.extend(
        in_file(repr(key), path, lines.of(key), f"is not a setting{did_you_mean(key.replace('-', '_'), table)}")
        for key in values
        if key not in table
    )
    return {
        name: GivenValue(value, f"{path}{on_line(lines.of(name))}, key {name}", path, lines)
        for name, value in values.items()
        if name in table
    }


def _of_file(path: Path, origin: str, text: str, line: int | None = None) -> SettingFault:
    return SettingFault.at(f"{path} ({origin}): {text}", None, path, line, text)


def _is_deeper(value: Any, levels: int) -> bool:
    """Dotted keys nest as deep as they like, and the parser does not mind; whoever shows the value would."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inside)


def _section(keys: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that the keys of ``[identity]`` are; those that have its name in front already stay as they are."""
    front = f"{SECTION}_"
    return {key if key.startswith(front) else front + key: value for key, value in keys.items()}


def _environment_layer(
    variables: Mapping[str, str], table: Mapping[str, SettingRow], problems: list[SettingFault]
) -> dict[str, GivenValue]:
    known = {row.environment: name for name, row in table.items() if not row.toml_only}
    problems.extend(
        SettingFault.at(f"{variable} (environment): is not a setting{did_you_mean(variable, known)}")
        for variable in sorted(variables)
        if variable.startswith(ENV_PREFIX) and variable not in known and variable != CONFIG_ENVIRONMENT
    )
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in variables.items() if name in known and value}
    return {name: GivenValue(value, f"environment {table[name].environment}") for name, value in source().items()}


def _validate(
    given: Mapping[str, GivenValue], table: Mapping[str, SettingRow], problems: list[SettingFault]
) -> Settings | None:
    """The settings, or ``None`` with a problem added for every wrong one and every contradiction between good ones."""
    settings, faults = _attempt(given)
    wrong = {str(fault["loc"][0]) for fault in faults if fault["loc"]} & given.keys()
    for name, row in table.items():
        if name in wrong:
            inner = [fault for fault in faults if fault["loc"][:1] == (name,) and _is_inside(fault)]
            if name in TOML_TABLES and inner:
                problems.extend(dict.fromkeys(of_table_key(name, fault, given[name]) for fault in inner))
            else:
                why = next((fault.get("ctx", {}).get("error") for fault in faults if fault["loc"][:1] == (name,)), None)
                because = f"{why}; it " if row.explained and why is not None else ""
                allowed = row.allowed.replace("see below", f"each under its [[{name}]]")  # below it is in the docs
                problems.append(of_setting(row, given[name], f"{because}must be {allowed}"))
    if wrong:  # contradictions are only checked among valid values, so check again without the invalid ones
        _, faults = _attempt({name: item for name, item in given.items() if name not in wrong})
    for fault in faults:
        if fault["type"] == CROSS_CHECK:
            for name, (fields, text) in fault["ctx"]["faults"].items():
                if not wrong & set(fields):
                    default = GivenValue(Settings.model_fields[name].default, DEFAULT)
                    problems.append(of_setting(table[name], given.get(name, default), text))
    return settings


def _attempt(given: Mapping[str, GivenValue]) -> tuple[Settings | None, Sequence[Any]]:
    try:
        return Settings(**{name: item.value for name, item in given.items()}), ()
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _is_inside(fault: Any) -> bool:
    """About one table of an array: a key of it, or what its keys say together."""
    return len(fault["loc"]) >= 2


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
