"""The LLM servers as the settings describe them: where each one is, and how to talk to it. Pure.

``choice`` picks the one that serves a request.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.proxy.choice import RoutingRule
from llm_metrics_proxy.proxy.options import BackendOptions, ProxyOptions

_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
# Header fields of keys by a backend's dialect; ``Authorization: Bearer`` for all others.
_KEY_FIELDS: Final = {"anthropic": b"x-api-key", "gemini": b"x-goog-api-key"}


class Address(msgspec.Struct, frozen=True):
    """Where a server is: where to connect, what to call it, and what to put before every path."""

    host: str
    port: int
    tls: bool
    path_prefix: bytes
    host_line: bytes  # the whole Host field for requests to it
    label: str  # host:port, stored in the column `backend`


class Limits(msgspec.Struct, frozen=True):
    """Limits of one worker's connections to a server; seconds and counts, as in ``ProxyOptions``."""

    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    keepalive_s: float
    max_connections: int
    max_idle: int
    max_header_bytes: int


class Backend(msgspec.Struct, frozen=True):
    """An LLM server. Two that are equal can share their connections."""

    address: Address
    limits: Limits
    rule: RoutingRule
    added: bytes  # field lines that every request to it gets
    replaced: frozenset[bytes]  # lower-case names of the client's fields that give way to them
    replaces_query_key: bool  # and so does a key in the query
    ca_file: str | None
    server_name: str | None  # that its certificate must bear, if it is not the URL's
    tls_verify: bool
    eject_after: int
    probe_path: bytes
    probe_interval_s: float
    probe_timeout_s: float

    @property
    def shown_name(self) -> str:
        """What people call it."""
        return self.rule.name or self.address.label

    def __repr__(self) -> str:
        return f"<Backend {self.shown_name} {self.address.label}>"  # without the key in ``added``


_NEVER: Final = 2**62  # failures: a single backend is never passed over


def backends_of(options: ProxyOptions) -> list[Backend]:
    """Every server that the options name: several with names, or one without. Raises ``SettingsError``."""
    if not options.backends:
        return [_backend(options, BackendOptions(name="", url=options.backend), eject_after=_NEVER)]
    eject_after = options.eject_after_failures if len(options.backends) > 1 else _NEVER
    return [_backend(options, each, eject_after=eject_after) for each in options.backends]


def _backend(options: ProxyOptions, it: BackendOptions, *, eject_after: int) -> Backend:
    fields = {name.encode(): value.encode("latin-1") for name, value in it.add_headers.items()}
    replaced = {name.lower() for name in fields}
    if it.api_key is not None:
        replaced |= _CREDENTIALS
        key = it.api_key.encode("latin-1")
        field = _KEY_FIELDS.get(it.dialect or "")
        if field is None:
            fields[b"Authorization"] = b"Bearer " + key
        else:
            fields[field] = key
    return Backend(
        address=_address(it.url, it.host_header or options.upstream_host_header),
        limits=Limits(
            connect_timeout_s=_given(it.connect_timeout_s, options.connect_timeout_s),
            first_byte_timeout_s=_given(it.first_byte_timeout_s, options.first_byte_timeout_s),
            idle_timeout_s=_given(it.idle_timeout_s, options.idle_timeout_s),
            keepalive_s=options.upstream_keepalive_s,
            max_connections=options.upstream_max_connections,
            max_idle=options.upstream_max_idle,
            max_header_bytes=options.max_header_bytes,
        ),
        rule=RoutingRule(it.name or None, it.weight, tuple(it.models), it.dialect),
        added=b"".join(b"%b: %b\r\n" % field for field in fields.items()),
        replaced=frozenset(replaced),
        replaces_query_key=it.api_key is not None and it.dialect == "gemini",
        ca_file=it.ca_file or options.upstream_ca_file,
        server_name=it.tls_server_name,
        tls_verify=options.upstream_tls_verify if it.tls_verify is None else it.tls_verify,
        eject_after=eject_after,
        probe_path=(it.probe_path or options.probe_path).encode(),
        probe_interval_s=options.probe_interval_s,
        probe_timeout_s=options.probe_timeout_s,
    )


def _address(url: str, host_header: str | None) -> Address:
    address = parse_backend(url)
    if host_header is None:
        return address
    return msgspec.structs.replace(address, host_line=f"Host: {host_header}\r\n".encode())


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def parse_backend(url: str) -> Address:
    """Read ``http[s]://host[:port][/prefix]``; raises ``SettingsError`` with what is wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError([f"backend {url!r}: {error}"]) from None
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise SettingsError([f"backend {url!r}: only visible ASCII characters can be part of it; encode others"])
    if port == 0:
        raise SettingsError([f"backend {url!r}: nothing listens on port 0"])
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError([f"backend {url!r}: expected http://host:port or https://host"])
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError(["backend: user, password, query and fragment cannot be part of it; send keys as headers"])
    tls = parts.scheme == "https"
    port = port or (443 if tls else 80)
    shown = f"[{parts.hostname}]" if _is_ipv6(parts.hostname) else parts.hostname
    authority = shown if port == (443 if tls else 80) else f"{shown}:{port}"
    return Address(
        host=parts.hostname,
        port=port,
        tls=tls,
        path_prefix=_prefix(parts.path),
        host_line=f"Host: {authority}\r\n".encode(),
        label=f"{shown}:{port}",
    )


def _prefix(path: str) -> bytes:
    """Clients send paths that begin with /v1, so a base URL as SDKs want it (ending in /v1) means the same server."""
    return path.rstrip("/").removesuffix("/v1").encode()


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
