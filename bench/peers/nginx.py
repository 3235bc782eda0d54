"""nginx, as its manual recommends for a reverse proxy with kept connections; with Lua; and as the fixed upstream."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import payload
from bench.figures import Unavailable
from bench.peers.peer import Launch, Peer, Site
from bench.peers.sources import debian
from bench.processes import LOAD_CORE, free_port, running

_MODULES: Final = Path("/usr/lib/nginx/modules")
_LUA_MODULES: Final = (_MODULES / "ndk_http_module.so", _MODULES / "ngx_http_lua_module.so")
_LUA_LIBRARIES: Final = (Path("/usr/share/lua/5.1/resty/core.lua"), Path("/usr/share/lua/5.1/cjson"))

_CONFIG: Final = """\
{modules}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ worker_connections 16384; }}
worker_rlimit_nofile 65536;
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {http}
  server {{ listen 127.0.0.1:{port} backlog=4096; {server} }}
}}
"""
# Buffering stays on, nginx's own choice, unless the answers are streams: then nginx would hold chunks back, and nobody
# runs it in front of an LLM like that.
_UPSTREAM: Final = "upstream llm {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}"
_LOCATION: Final = """\
location / {{ proxy_pass http://llm; proxy_http_version 1.1; proxy_set_header Connection ""; {buffering}
    proxy_read_timeout 600s; {more} }}
"""
# One line of JSON for each request, written when it ends: who asked what, how it ended, when the first byte came, how
# many chunks, and the tokens. The answer's beginning and end are kept, since usage is at the end of a stream.
_LUA_HTTP: Final = """
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  log_format facts escape=json '{"id":"$request_id","time":"$time_iso8601","method":"$request_method","path":"$uri",'
    '"status":$status,"user_agent":"$http_user_agent","request_bytes":$request_length,"bytes":$body_bytes_sent,'
    '"seconds":$request_time,"upstream_seconds":"$upstream_response_time","first_byte":"$upstream_header_time",'
    '"upstream":"$upstream_addr","model":"$facts_model","user":"$facts_user","stream":"$facts_stream",'
    '"messages":"$facts_messages","max_tokens":"$facts_max","chunks":"$facts_chunks","finish":"$facts_finish",'
    '"prompt_tokens":"$facts_prompt","completion_tokens":"$facts_completion"}';
"""
_LUA_LOCATION: Final = """
    set $facts_model ""; set $facts_user ""; set $facts_stream ""; set $facts_messages ""; set $facts_max "";
    set $facts_chunks ""; set $facts_finish ""; set $facts_prompt ""; set $facts_completion "";
    access_by_lua_block {
      local cjson = require "cjson.safe"
      ngx.req.read_body()
      local asked = cjson.decode(ngx.req.get_body_data() or "")
      if type(asked) == "table" then
        ngx.var.facts_model = asked.model; ngx.var.facts_user = asked.user; ngx.var.facts_max = asked.max_tokens
        ngx.var.facts_stream = asked.stream and "1" or "0"
        ngx.var.facts_messages = asked.messages and #asked.messages
      end
    }
    body_filter_by_lua_block {
      local facts, data = ngx.ctx, ngx.arg[1]
      if data ~= "" then
        facts.chunks = (facts.chunks or 0) + 1
        facts.before, facts.last = facts.last or "", data
      end
    }
    log_by_lua_block {
      local cjson, facts = require "cjson.safe", ngx.ctx
      local tail = (facts.before or "") .. (facts.last or "")
      local usage = string.match(tail, '"usage":%s*(%b{})')
      local counted = usage and cjson.decode(usage)
      ngx.var.facts_chunks = facts.chunks
      ngx.var.facts_finish = string.match(tail, '"finish_reason":%s*"([%w_]+)"')
      if counted then
        ngx.var.facts_prompt = counted.prompt_tokens; ngx.var.facts_completion = counted.completion_tokens
      end
    }
"""


def _config(site: Site, *, lua: bool = False) -> Launch:
    more = f"access_log {site.folder}/facts.log facts; client_body_buffer_size 1m; {_LUA_LOCATION}" if lua else ""
    server = _LOCATION.format(buffering="proxy_buffering off;" if site.streams else "", more=more)
    http = _UPSTREAM.format(upstream=site.upstream) + (_LUA_HTTP if lua else "")
    return _launch(site.folder, site.port, http, server, _LUA_MODULES if lua else ())


def _launch(folder: Path, port: int, http: str, server: str, modules: tuple[Path, ...] = ()) -> Launch:
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker could not enter our temporary folder
    loaded = "".join(f"load_module {module};" for module in modules)
    path = folder / "nginx.conf"
    path.write_text(_CONFIG.format(modules=loaded, folder=folder, port=port, user=user, http=http, server=server))
    return Launch(("-c", str(path), "-p", str(folder)))


PLAIN: Final = Peer("nginx", debian("nginx", "nginx"), "nothing", _config)
LUA: Final = Peer(
    "nginx+Lua",
    debian("nginx", "libnginx-mod-http-lua", "lua-cjson", needs=(*_LUA_MODULES, *_LUA_LIBRARIES)),
    "a line of JSON: times, status, bytes, model, user, chunks, finish reason, tokens",
    lambda site: _config(site, lua=True),
)


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[int]:
    """The fixed answer, from an nginx on the load core; yields its port."""
    program = PLAIN.source.find()
    if program is None:
        raise Unavailable(f"nginx is not installed ({PLAIN.source.how}), and it is the upstream")
    home, port = folder / "upstream", free_port()
    home.mkdir()
    server = f"location / {{ default_type application/json; return 200 '{payload.COMPLETION}'; }}"
    arguments, _ = _launch(home, port, "", server)
    with running([str(program), *arguments], LOAD_CORE, port=port, log=home / "log"):
        yield port
