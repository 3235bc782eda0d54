"""Caddy with a Caddyfile, neither access log nor administration. It sends streams on as they come by itself."""

from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import wheel

_CONFIG: Final = """\
{{
  admin off
  auto_https off
  persist_config off
  log {{
    level ERROR
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{upstream} {{
    transport http {{
      keepalive_idle_conns_per_host 512
    }}
  }}
}}
"""


def _launch(site: Site) -> Launch:
    path = site.write("Caddyfile", _CONFIG.format(port=site.port, upstream=site.upstream))
    home = str(site.folder)  # it keeps files in the home folder
    return Launch(
        ("run", "--config", path, "--adapter", "caddyfile"),
        {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home},
    )


PEER: Final = Peer("Caddy", wheel("caddy"), "nothing", _launch)
