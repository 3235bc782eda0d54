"""Envoy with one worker thread, no access log and no limits on time; its counters are on, as they always are."""

from typing import Final

from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import wheel

_CONFIG: Final = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          codec_type: HTTP1
          generate_request_id: false
          stream_idle_timeout: 0s
          route_config:
            virtual_hosts:
            - name: llm
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: llm, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: llm
    connect_timeout: 10s
    circuit_breakers:
      thresholds: [{{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}]
    load_assignment:
      cluster_name: llm
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


def _launch(site: Site) -> Launch:
    path = site.write("envoy.yaml", _CONFIG.format(port=site.port, upstream=site.upstream))
    return Launch(("-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"))


PEER: Final = Peer("Envoy", wheel("envoy"), "counters for all requests together", _launch)
