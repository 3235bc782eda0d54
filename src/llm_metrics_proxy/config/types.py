"""How a setting's text becomes a value: the types that the settings table is written in.

Validators raise plain ``ValueError``; the sentence that a person reads is made from the table's own words
(``table.SettingRow.allowed``), so that the documentation and the error message cannot differ.
"""

import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints
from pydantic_settings import NoDecode

from llm_metrics_proxy.doors import host_name, origin
from llm_metrics_proxy.globs import glob_pattern
from llm_metrics_proxy.machine import MAX_HOST_NAME, cpus
from llm_metrics_proxy.store_address import SQLITE, backup_place, cluster_name, store_address

MAX_WORKERS: Final = 256  # as many as the scoreboard has slots
DEMO: Final = "demo"  # as a backend: the simulated server
_SIZE_UNITS: Final = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def setting(
    default: Any,
    meaning: str,
    *,
    group: str,
    allowed: str = "",
    shown_default: str = "",
    toml_only: bool = False,
    no_flag: bool = False,
    explained: bool = False,
    reload: bool = False,
    **rules: Any,
) -> Any:
    """One row of the settings table, as a pydantic field.

    ``default`` is a value, or a function of the settings above it (then ``shown_default`` says in words what it
    gives). ``allowed`` completes "must be …"; numbers, choices and switches say that by themselves. ``toml_only``:
    no flag and no variable could hold it; ``no_flag``: it must not be seen among a process's arguments. ``explained``:
    its validator's words tell what is wrong better than ``allowed`` alone. ``reload``: SIGHUP reads it again.
    """
    words: dict[str, Any] = {
        "group": group, "allowed": allowed, "shown_default": shown_default, "toml_only": toml_only,
        "no_flag": no_flag, "explained": explained,
        "reload": reload,
    }  # fmt: skip
    given = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**given, description=meaning, json_schema_extra=words, **rules)


def _not_a_switch(value: object) -> object:
    """``port = true`` is a mistake, not port 1."""
    if isinstance(value, bool):
        raise ValueError("a switch is not a number")  # noqa: TRY004 -- pydantic reports ValueError, not TypeError
    return value


def _size(value: object) -> object:
    """``64MiB`` in bytes; a number is bytes already."""
    if not isinstance(value, str):
        return _not_a_switch(value)
    match = re.fullmatch(r"(\d{1,15})\s*([kmg]?i?b)?", value.strip(), re.IGNORECASE | re.ASCII)
    if match is None or (match[2] or "").lower() not in _SIZE_UNITS:
        raise ValueError("not a size")
    return int(match[1]) * _SIZE_UNITS[(match[2] or "").lower()]


def _items(value: object) -> object:
    """``a, b`` is two items; a repeated flag may hold several in each."""
    parts = [value] if isinstance(value, str) else value
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        return [item.strip() for part in parts for item in part.split(",") if item.strip()]
    return value


def _workers(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return min(MAX_WORKERS, cpus())
    return _not_a_switch(value)


def _backend(value: str) -> str:
    return DEMO if value.strip() == DEMO else _url(value)


def _url(value: str) -> str:
    url = value.strip()
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("not a base URL")
    # Credentials in a URL end up in logs and error pages; keys belong in the clients' headers.
    if "@" in parts.netloc or parts.query or parts.fragment or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ValueError("more than a base URL")
    return url.rstrip("/")


def _host(value: str) -> str:
    host = value.strip().removeprefix("[").removesuffix("]")
    if ":" in host or host.replace(".", "").isdigit():
        ipaddress.ip_address(host)
    elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", host):
        raise ValueError("not a host")
    return host


def _secret(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{8,}", value):  # what an Authorization field can carry (RFC 9110, section 11.2)
        raise ValueError("not a token")
    return value


def _otlp_headers(value: str) -> str:
    pairs = [pair.partition("=") for pair in value.split(",")]
    if not all(re.fullmatch(r"[A-Za-z0-9-]+", name.strip()) and given.strip().isascii() for name, _, given in pairs):
        raise ValueError("not headers")
    if not all(given.strip().isprintable() and given.strip() for _, _, given in pairs):
        raise ValueError("not headers")
    return value


def _peer(value: str) -> str:
    return str(ipaddress.ip_network(value.strip(), strict=False))


def _path(value: str) -> str:
    if not value or "\0" in value:
        raise ValueError("not a path")
    return value


def _host_header(value: str) -> str:
    name, _, port = value.strip().rpartition(":") if re.search(r":[0-9]+$", value.strip()) else (value, "", "")
    if port and not 0 < int(port) < 65_536:
        raise ValueError("not a port")
    if host_name(name) == "*" or name.strip().startswith("*"):
        raise ValueError("not one host")
    return value.strip()


def _daily_window(value: str) -> str:
    """Only its form; ``migration.window`` gives it a meaning."""
    span = value.strip()
    clock = r"([01]\d|2[0-3]):[0-5]\d"
    if not re.fullmatch(f"{clock}-{clock}", span, re.ASCII) or span[:5] == span[6:]:
        raise ValueError("not two different times of a day")
    return span


def _certificates(value: str) -> str:
    """Read as the workers will read it: a wrong file fails at start, not with the first request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=value)
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(str(error)) from error
    return value


def _store(value: str) -> str:
    return str(store_address(value) or SQLITE)


def _glob(value: str) -> str:
    """A mistake in a pattern must show at start; a request would only find that nothing fits."""
    if not value or value != value.strip():
        raise ValueError("a pattern is empty or begins or ends in a space")
    glob_pattern(value)
    return value


def text_rule(check: Callable[[str], str]) -> BeforeValidator:
    """``check`` for texts; anything else is left for the type itself to refuse."""
    return BeforeValidator(lambda value: check(value) if isinstance(value, str) else value)


ITEMS: Final = BeforeValidator(_items)
Whole = Annotated[int, BeforeValidator(_not_a_switch)]
Number = Annotated[float, BeforeValidator(_not_a_switch), Field(allow_inf_nan=False)]
Seconds = Number
Timeout = Annotated[float, BeforeValidator(_not_a_switch), Field(allow_inf_nan=False, ge=0.1, le=86_400)]
Bytes = Annotated[int, BeforeValidator(_size)]
Workers = Annotated[int, BeforeValidator(_workers)]
Host = Annotated[str, text_rule(_host)]
HostHeader = Annotated[str, text_rule(_host_header)]
HostName = Annotated[str, StringConstraints(pattern=rf"^[!-~]{{1,{MAX_HOST_NAME}}}$")]
HostNames = Annotated[list[Annotated[str, text_rule(host_name)]], NoDecode, ITEMS]
Origins = Annotated[list[Annotated[str, text_rule(origin)]], NoDecode, ITEMS]
Backend = Annotated[str, text_rule(_backend)]
OtlpHeaders = Annotated[SecretStr, text_rule(_otlp_headers)]
Token = Annotated[SecretStr, text_rule(_secret)]
Store = Annotated[str, text_rule(_store)]
ClusterName = Annotated[str, text_rule(cluster_name)]
StoreBackup = Annotated[str, text_rule(backup_place)]
Password = Annotated[SecretStr, StringConstraints(min_length=1)]
Url = Annotated[str, text_rule(_url)]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[\x21-\x7e]*$")]
Certificates = Annotated[str, text_rule(_certificates)]
FilePath = Annotated[Path, text_rule(_path)]
DailyWindow = Annotated[str, text_rule(_daily_window)]
Peer = Annotated[str, text_rule(_peer)]
PathPattern = Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*$")]
PathPatterns = Annotated[list[PathPattern], NoDecode, ITEMS]
Peers = Annotated[list[Peer], NoDecode, ITEMS]
Lower = text_rule(str.lower)
# Keys of the file's tables, which no flag and no variable sets: strict, so a number is refused.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", strict=True)]
Glob = Annotated[str, text_rule(_glob), StringConstraints(strict=True)]


def faults_among(names: Sequence[str], most: int, noun: str = "") -> str | None:
    """What is wrong with the tables of one kind together."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"two {noun}are named {twice!r}: a name is for one"
    return f"there are {len(names)}; at most {most} can be" if len(names) > most else None
