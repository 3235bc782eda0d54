"""What is known of this installation: the program's own words, its secrets, and the names that people gave."""

import errno
import getpass
import os
import re
import socket
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

import llm_metrics_proxy
from llm_metrics_proxy.analytics.records import EVERY, Records
from llm_metrics_proxy.cli.support.redaction import words_of
from llm_metrics_proxy.config.sources import DEFAULT, Loaded
from llm_metrics_proxy.config.store_access import store_password
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.processes.versions import libraries

# Columns that hold what clients and users chose.
NAMED: Final = (
    "user", "session_id", "api_key_id", "agent_id", "parent_agent_id", "app", "origin", "model", "backend_name",
    "host", "user_agent", "client_address", "trace_id", "tags",
)  # fmt: skip
NEWEST_RECORDS: Final = 5_000
_BARE: Final = re.compile(r"True|False|[\d.]+")  # what has no quotes is no secret
_QUOTED: Final = re.compile(r""" "([^"\n]*)" | '([^'\n]*)' """, re.VERBOSE)
_SOURCES: Final = Path(llm_metrics_proxy.__file__).parent
_WORDS_OF_CONFIG: Final = frozenset({"true", "false", "none", "null", "nan", "inf"})


def vocabulary() -> frozenset[str]:
    """The words of the program: its sources, the names of its libraries, and what the system says of errors."""
    words = set(_WORDS_OF_CONFIG)
    for path in _SOURCES.rglob("*.py"):
        words |= words_of(path.read_text(encoding="utf-8"))
    for code in errno.errorcode:
        words |= words_of(os.strerror(code))
    words |= {word for name in dir(__builtins__) for word in words_of(name)}
    for each in libraries():
        words |= words_of(each)
    return frozenset(words)


def secrets_of(loaded: Loaded) -> set[str]:
    """Every secret of the settings, as text: tokens, passwords, keys, headers of theirs, receivers of alerts."""
    settings = loaded.settings
    found = {_plain(getattr(settings, name)) for name, row in rows().items() if row.is_secret}
    found |= {value.partition("=")[2] for value in _plain(settings.otlp_headers).split(",")}
    found |= {key.get_secret_value() for key in loaded.api_keys.values()}
    with suppress(LlmMetricsProxyError):
        found.add(store_password(settings))
    for name, table in TOML_TABLES.items():
        for each in getattr(settings, name):
            for key in table.hidden:
                found |= set(_texts(getattr(each, key)))
    return {each for each in found if each}


def texts_of_file(file: Path, environment: Mapping[str, str]) -> set[str]:
    """Every text of a settings file that cannot be used, and what the variables hold that it names."""
    try:
        content = file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
    except OSError:
        return set()
    found = {text for pair in _QUOTED.findall(content) for text in pair}
    with suppress(tomllib.TOMLDecodeError, RecursionError):
        found |= {text for text in _texts(tomllib.loads(content)) if not _BARE.fullmatch(text)}
    found |= {environment[name] for name in found if name in environment}
    return {each for each in found if each}


def names_of(loaded: Loaded) -> set[str]:
    """Names that people gave in the settings, and those of this machine and its user."""
    found = set(machine())
    for name, row in rows().items():
        if row.is_secret or row.is_switch or row.choices or loaded.origins[name] == DEFAULT:
            continue
        value = getattr(loaded.settings, name)
        given = [value] if isinstance(value, str | Path) else value if isinstance(value, list) else []
        for each in given:
            found |= set(_names_in(each))
    return found


def names_in(records: Records) -> set[str]:
    """What the newest records hold in the columns that clients fill. Raises ``StoreError``."""
    newest = records.page(EVERY, NAMED, None, NEWEST_RECORDS)
    return {str(value) for row in newest for value in row if value not in (None, "")}


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for each in value.__dict__.values():
            yield from _names_in(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from (str(key), *_names_in(each))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _names_in(each)
    elif isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        yield from filter(None, (parts.hostname, parts.path.strip("/"), parts.username))
    elif isinstance(value, str | Path):
        yield str(value)


def machine() -> Iterator[str]:
    """Names of this machine and of who runs this here."""
    yield socket.gethostname()
    yield Path.home().name
    with suppress(OSError, KeyError):
        yield getpass.getuser()


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return [_plain(value)]


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else "" if value is None else str(value)
