"""Whether a URL names this machine or a neighbour. Pure: names are not looked up."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

# Names that a public DNS never has: of containers, clusters and home networks.
_ENDINGS: Final = (".localhost", ".local", ".internal", ".lan", ".home", ".home.arpa", ".svc", ".docker")


def is_local(url: str) -> bool:
    """An address of this machine or of a private network, or a name without a dot, as containers have."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return bool(host) and ("." not in host or host.endswith(_ENDINGS))
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_private or mapped.is_loopback or mapped.is_link_local)


def is_this_machine(url: str) -> bool:
    """An address of this machine itself."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", "host.docker.internal"} or host.endswith(".localhost")
