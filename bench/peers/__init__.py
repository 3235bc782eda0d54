"""The servers that ours is compared with. Each is a row of ``PEERS``: one small file says all there is to say of it.

    sources     where a program comes from, and whether it is here
    peer        what a row is, and starting it
    ours        the LLM Metrics Proxy itself
    nginx       the yardstick; also with Lua, which writes comparable facts into its log
    haproxy, envoy, traefik, caddy    what people put in front of servers
    vllm_router, litellm              what people put in front of LLMs
    python      a proxy of forty lines on aiohttp (``aiohttp_proxy``), and two floors (``relay``)

A peer that is not installed is skipped, and the table says how it is had; ``python -m bench.peers`` prints the packages
of Debian that are missing (``tools/install-bench.sh`` installs them, and the wheels).
"""

from typing import Final

from bench.peers import caddy, envoy, haproxy, litellm, nginx, python, traefik, vllm_router
from bench.peers.peer import Peer

# The yardstick comes first: its turns are next to ours.
PEERS: Final[dict[str, Peer]] = {
    peer.key: peer
    for peer in (
        nginx.PLAIN,
        python.RELAY,
        python.RECORDING_RELAY,
        haproxy.PEER,
        envoy.PEER,
        nginx.LUA,
        traefik.PEER,
        caddy.PEER,
        vllm_router.PEER,
        python.AIOHTTP,
        litellm.PEER,
    )
}
