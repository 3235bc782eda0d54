"""HAProxy with one thread, kept connections shared among clients, and no log."""

from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import debian

_CONFIG: Final = """\
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend clients
  bind 127.0.0.1:{port} backlog 4096
  default_backend llm
backend llm
  {streams}
  server llm 127.0.0.1:{upstream}
"""


def _launch(site: Site) -> Launch:
    streams = "option http-no-delay" if site.streams else ""
    text = _CONFIG.format(port=site.port, upstream=site.upstream, streams=streams)
    return Launch(("-db", "-f", site.write("haproxy.cfg", text)))


PEER: Final = Peer("HAProxy", debian("haproxy", "haproxy"), "nothing", _launch)
