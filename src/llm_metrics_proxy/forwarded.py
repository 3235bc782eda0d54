"""What reverse proxies say about their clients: X-Forwarded-For, -Proto, -Host and -Prefix, and Forwarded (RFC 7239).
Pure.

Anybody can send these headers, so they count only from peers that the settings trust. Each proxy appends the peer that
it saw: the last address that is not itself a trusted proxy's is the client's, and what stands before it is hearsay.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

_PAIR: Final = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^",;\s]*)\s*([;,]|$)')
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\d+)?|([^:]*):\d+")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]{1,64}){1,16}")
_LONGEST: Final = 64  # of an address with a zone (fe80::1%eth0); longer texts are not addresses, and not kept
_IPV6_NEIGHBOURS: Final = 64  # bits: one address of a network gives a client all of them


class Asker(NamedTuple):
    """``address``: of the client, an IP address if anybody knows it. ``secure``: it came over TLS.
    ``hosts``: what the client called this program, besides the header Host. ``prefix``: of the paths that it asks for,
    taken off before they came here."""

    address: str
    secure: bool = False
    hosts: tuple[str, ...] = ()
    prefix: str = ""


@lru_cache(maxsize=4096)
def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether the address belongs to one of the networks. ``::ffff:10.0.0.1`` is ``10.0.0.1``."""
    ip = _ip(address)
    return ip is not None and any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


def asker(peer: str, fields: Iterable[tuple[str, str]], trusted: tuple[str, ...]) -> Asker:
    """The client, from the connection's address and the header fields, whose names are lower case."""
    if not is_within(peer, trusted):
        return Asker(peer)
    found: dict[str, list[str]] = {}
    for name, value in fields:
        found.setdefault(name, []).extend(_items(value) if name != "forwarded" else (value,))
    elements = _elements(",".join(found.get("forwarded", ())))
    chain = found.get("x-forwarded-for") or [element.get("for", "") for element in elements]
    schemes = found.get("x-forwarded-proto") or [element["proto"] for element in elements if "proto" in element]
    hosts = found.get("x-forwarded-host") or [element["host"] for element in elements if "host" in element]
    is_secure = bool(schemes) and schemes[0].lower() in {"https", "wss"}
    prefix = next(iter(found.get("x-forwarded-prefix", ())), "").rstrip("/")
    prefix = prefix if _PREFIX.fullmatch(prefix) else ""
    return Asker(_client(peer, chain, trusted), is_secure, tuple(hosts), prefix)


def neighbourhood(address: str) -> str:
    """One name for everybody who can use this address at will: of IPv6 the network of 64 bits."""
    ip = _ip(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, _IPV6_NEIGHBOURS), strict=False))
    return address if ip is None else str(ip)


def _client(peer: str, chain: Sequence[str], trusted: tuple[str, ...]) -> str:
    address = peer
    for each in reversed(chain):
        found = _without_port(each)
        if _ip(found) is None:  # "unknown", or a name of the proxy's own making (RFC 7239 section 6)
            break
        address = found
        if not is_within(address, trusted):
            break
    return address


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if len(address) > _LONGEST:
        return None
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


def _without_port(text: str) -> str:
    match = _WITH_PORT.fullmatch(text)
    return text if match is None else match[1] or match[2] or ""


def _items(value: str) -> list[str]:
    return [item for each in value.split(",") if (item := each.strip())]


def _elements(value: str) -> list[dict[str, str]]:
    """Of a Forwarded field; none at all where it cannot be read."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while at < len(value):
        match = _PAIR.match(value, at)
        if match is None:
            return []
        text = match[2]
        elements[-1][match[1].lower()] = re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
        if match[3] == ",":
            elements.append({})
        at = match.end()
    return elements
