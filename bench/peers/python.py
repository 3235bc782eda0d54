"""What Python allows: the usual way to write a proxy, and two relays that no proxy in Python will be faster than."""

from collections.abc import Callable
from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import own


def _module(name: str, *files: str) -> Callable[[Site], Launch]:
    """A module of this package, which takes both ports, and files in the site's folder."""
    return lambda site: Launch(
        (
            *("-m", f"bench.peers.{name}", str(site.port), str(site.upstream)),
            *(str(site.folder / file) for file in files),
        )
    )


AIOHTTP: Final = Peer("aiohttp", own(), "nothing", _module("aiohttp_proxy"))
RELAY: Final = Peer("relay", own(), "nothing", _module("relay"))
RECORDING_RELAY: Final = Peer(
    "recording relay",
    own(),
    "two frames with CRC-32 in a journal, of bodies decoded by types",
    _module("recording_relay", "journal"),
)
