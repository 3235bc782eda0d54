"""Which host names and web pages a port answers to. Pure; settings are checked with it too.

Browsers let any web page send requests to servers on the reader's machine and in the reader's network. Two headers give
these requests away. ``Host`` has the name that the page used: with DNS rebinding, a page from evil.example makes that
name resolve to 127.0.0.1 and calls its "own" server, but the name is still in the header (RFC 9110 section 7.2). So
only names that no stranger can point here are accepted. ``Origin`` names the calling page, and no page can forge it.
"""

import ipaddress
import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

ANY: Final = "*"
_NOBODY: Final = "null"  # what a page in a sandbox sends, or one that was read from a file
_LOCALHOST: Final = "localhost"  # and names below it: resolved by browsers themselves (RFC 6761 section 6.3)
_BELOW_LOCALHOST: Final = "." + _LOCALHOST
_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[^\s\[\]]+)\]|(?P<name>[^\s:\[\]/@?#]+))(?P<port>:[0-9]*)?")
_LABEL: Final = re.compile(r"[a-z0-9_-]+")
_NAME: Final = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_NAMES: Final = re.compile(rf"(?:\*\.)?{_NAME}")
_ORIGIN: Final = re.compile(rf"([a-z][a-z0-9+.-]*)://(\*|(?:\*\.)?{_NAME}|\[[0-9a-f:.]+\]|)(:(?:\*|[0-9]{{1,5}}))?")
_PORTS: Final = {"http": ":80", "https": ":443"}


def host_name(text: str) -> str:
    """A name in the form that ``HostRule`` compares: lower case. Raises ``ValueError``."""
    name = text.strip().lower()
    address = _address(name.removeprefix("[").removesuffix("]"))
    if address is not None:
        return str(address)
    name = name.removesuffix(".")
    if name != ANY and not _NAMES.fullmatch(name):
        raise ValueError("not a host name")
    return name


def origin(text: str) -> str:
    """An origin in the form that browsers send: lower case, no slash, no port that its scheme implies.

    Raises ``ValueError``.
    """
    written = text.strip().lower()
    if written in {ANY, _NOBODY}:
        return written
    if not written.endswith("://"):
        written = written.removesuffix("/")
    match = _ORIGIN.fullmatch(written)
    if match is None or (not match[2] and (match[3] or match[1] in _PORTS)):  # of files, a scheme is all there is
        raise ValueError("not an origin")
    return written.removesuffix(_PORTS[match[1]]) if match[1] in _PORTS else written


def is_loopback(host: str) -> bool:
    """Only this machine can be meant: localhost, 127.0.0.0/8 or ::1. In lower case, without brackets."""
    address = _address(host)
    if address is None:
        return host == _LOCALHOST
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host_and_port(authority: str) -> tuple[str, str] | None:
    """The host in lower case without brackets or the final dot of a name, and ``:port`` or nothing (RFC 9110, 7.2)."""
    match = _AUTHORITY.fullmatch(authority.strip().lower())
    if match is None:
        return None
    name, port = match["name"], (match["port"] or "").removesuffix(":")
    if name is None:
        return (match["v6"], port) if isinstance(_address(match["v6"]), ipaddress.IPv6Address) else None
    without_dot = name.removesuffix(".")
    return (name if _address(without_dot) is not None else without_dot), port


class HostRule:
    """Accepted names: localhost, loopback addresses, those in ``names`` (``*.name``: all below it; ``*``: every
    one); with ``any_address``, other IP addresses: they need no resolver, which could lie; with
    ``any_local_name``, names of one label: public DNS has no hosts there, so they come from this machine's own files,
    or from a server before us (nginx sends the name of its ``upstream`` block)."""

    def __init__(self, names: Iterable[str], *, any_address: bool, any_local_name: bool = False) -> None:
        self._names = frozenset(names)
        self._below = tuple(name[1:] for name in self._names if name.startswith("*."))
        self._any_address, self._any_local_name = any_address, any_local_name

    def admits(self, host: str) -> bool:
        """Is this value of Host accepted?"""
        if ANY in self._names:
            return True
        found = _host_and_port(host)
        if found is None:
            return False
        name = found[0]
        address = _address(name)
        known = name if address is None else str(address)
        return (
            known in self._names
            or is_loopback(name)
            or (address is not None and self._any_address)
            or (address is None and name.endswith(self._below))
            or (self._any_local_name and _LABEL.fullmatch(name) is not None)
        )


class PageAccess(Enum):
    """What a page of an origin may do."""

    NONE = auto()
    ANYONE = auto()  # as every page: without the reader's cookies
    PLAIN = auto()  # this origin, without cookies
    CREDENTIALS = auto()  # this origin, with them


class OriginRule:
    """Pages that may ask, besides those of this machine: ``origins`` as ``origin`` returns them."""

    def __init__(self, origins: Iterable[str]) -> None:
        listed = set(origins)
        self.admits_all = ANY in listed
        self._listed = re.compile("|".join(map(_pattern, sorted(listed - {ANY}))) or r"(?!)")

    def access(self, value: str) -> PageAccess:
        """Of the page with this value of Origin."""
        sent = value.lower()
        if self._listed.fullmatch(sent):
            return PageAccess.CREDENTIALS if sent != _NOBODY else PageAccess.PLAIN  # that may be any page in a sandbox
        scheme, _, authority = sent.partition("://")
        found = _host_and_port(authority)
        if scheme in _PORTS and found is not None and (is_loopback(found[0]) or found[0].endswith(_BELOW_LOCALHOST)):
            return PageAccess.PLAIN
        return PageAccess.ANYONE if self.admits_all else PageAccess.NONE


def _pattern(listed: str) -> str:
    if listed == _NOBODY:
        return listed
    match = _ORIGIN.fullmatch(listed)
    assert match is not None, f"{listed} was not made by origin()"
    scheme, host, port = match[1], match[2], match[3] or ""
    name = r"(?:[^\s:\[\]/@?#*]+|\[[0-9a-f:.]+\])"
    if host == ANY:
        host = name
    elif host.startswith("*."):
        host = r"(?:[^\s:\[\]/@?#.*]+\.)+" + re.escape(host[2:])
    else:
        host = re.escape(host)
    return re.escape(scheme) + "://" + host + (r"(?::[0-9]+)?" if port == ":*" else re.escape(port))


def is_same_origin(value: str, host: str, *, port_may_lack: bool = False) -> bool:
    """Does the page come from the server itself? ``host`` is the name and port of the request.

    Schemes are not compared: TLS may end in front of this program, unseen. ``port_may_lack``: a host
    without a port fits every port, as reverse proxies like to leave it out.
    """
    scheme, _, authority = value.lower().partition("://")
    page, server = _host_and_port(authority), _host_and_port(host)
    if page is None or server is None or scheme not in _PORTS:
        return False
    implied = _PORTS[scheme]
    if port_may_lack and not server[1]:
        return page[0] == server[0]
    return (page[0], page[1] or implied) == (server[0], server[1] or implied)
