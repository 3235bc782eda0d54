"""Traefik with its routes in a file and no access log. Go takes as many threads as it has cores, which is one."""

from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import wheel

_CONFIG: Final = """\
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
entryPoints:
  clients:
    address: "127.0.0.1:{port}"
    transport: {{respondingTimeouts: {{readTimeout: 0s}}}}
serversTransport: {{maxIdleConnsPerHost: 512}}
providers: {{file: {{filename: "{routes}"}}}}
"""
_ROUTES: Final = """\
http:
  routers: {{all: {{rule: "PathPrefix(`/`)", service: llm}}}}
  services: {{llm: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{upstream}"}}]}}}}}}
"""


def _launch(site: Site) -> Launch:
    routes = site.write("routes.yaml", _ROUTES.format(upstream=site.upstream))
    return Launch((f"--configFile={site.write('traefik.yaml', _CONFIG.format(port=site.port, routes=routes))}",))


PEER: Final = Peer("Traefik", wheel("traefik"), "nothing", _launch)
