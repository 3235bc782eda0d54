"""Which server answers a request. One backend today; the rest of the data plane asks here and nowhere else."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from llm_metrics_proxy.errors import SettingsError


class Backend(msgspec.Struct, frozen=True):
    """An LLM server: where to connect, what to call it, and what to put before every path."""

    host: str
    port: int
    tls: bool
    path_prefix: bytes
    host_line: bytes  # the whole Host field for requests to it
    label: str  # host:port, stored in the column `backend`


def parse_backend(url: str) -> Backend:
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
    return Backend(
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
