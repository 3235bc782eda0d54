"""Who may use the proxy's port, by Host and Origin, and what browsers learn of it (CORS). Pure.

What follows from a head alone is part of the request's plan, so a head that was seen before costs nothing here.

Host is looked at where only this machine can connect, because there the connection itself is the right to ask, and DNS
rebinding lends it to any web page. Elsewhere clients use names that we cannot know, so it is free unless
``allowed_hosts`` names them. Origin is looked at everywhere: programs do not send it, and a page that is not the
server's own acts for a reader who may not know.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_metrics_proxy.doors import HostRule, OriginRule, PageAccess, host_name, is_same_origin
from llm_metrics_proxy.proxy.endings import Cause

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.inbound import InboundRequest

# What pages may read of an answer's head, besides what they always may and the server's own list.
EXPOSED: Final = b"x-llm-metrics-request-id, x-llm-metrics-missing-backends, Retry-After"
_PREFLIGHT_LASTS_S: Final = 600
_MAX_LEARNED: Final = 256
_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*")
_PAGE: Final = re.compile(rb"[^/?#]+://[^/?#]*")
_CORS_FIELD: Final = b"access-control-"
_EXPOSE: Final = b"access-control-expose-headers"
_VARY: Final = b"Vary: Origin\r\n"
_NAVIGATIONS: Final = frozenset({b"GET", b"HEAD"})


class AdmissionVerdict(NamedTuple):
    """``refused``: why it may not pass. ``cors``: field lines that say which page may read the answer; none where no
    page but the server's own asks. ``preflight``: the request is a browser's question (Fetch standard, section 4.8),
    and these lines are its answer."""

    refused: Cause | None = None
    cors: bytes | None = None
    preflight: bytes | None = None


_PASSES: Final = AdmissionVerdict()


class Admission:
    """The rules of one worker. ``on_loopback``: only this machine can connect."""

    def __init__(self, *, host: str, on_loopback: bool, allowed_hosts: list[str], allowed_origins: list[str]) -> None:
        own = {host_name(host), "*.localhost"}
        if on_loopback:
            self._hosts: HostRule | None = HostRule(own | set(allowed_hosts), any_address=False, any_local_name=True)
        elif allowed_hosts:
            self._hosts = HostRule(own | set(allowed_hosts), any_address=True)
        else:
            self._hosts = None
        self._good_hosts: set[bytes] = set()  # spellings that were checked
        self._origins = OriginRule(allowed_origins)

    def judge(self, request: "InboundRequest", *, trusted: bool) -> AdmissionVerdict:
        """``trusted``: the peer's X-Forwarded-Host is the name that the client used."""
        facts = request.facts
        host = facts.get("host")
        # Only HTTP/1.0 may lack Host: no browser does.
        if self._hosts is not None and host is not None and host not in self._good_hosts:
            if not self._hosts.admits(host.decode("latin-1")):
                return AdmissionVerdict(Cause.MISDIRECTED)
            if len(self._good_hosts) < _MAX_LEARNED:
                self._good_hosts.add(host)
        sent, site = facts.get("origin"), facts.get("sec_fetch_site")
        if sent is None:
            return AdmissionVerdict(Cause.FOREIGN_ORIGIN) if self._is_foreign_load(request, site) else _PASSES
        if site == b"same-origin":  # the browser knows, whatever proxies are in between
            return _PASSES
        origin = sent.decode("latin-1")
        asked_by = (facts.get("x-forwarded-host") if trusted else None) or host or b""
        if is_same_origin(origin, asked_by.decode("latin-1")):
            return _PASSES
        access = self._origins.access(origin)
        if access is PageAccess.NONE:
            return AdmissionVerdict(Cause.FOREIGN_ORIGIN)
        cors = b"Access-Control-Allow-Origin: %b\r\n" % (b"*" if access is PageAccess.ANYONE else sent)
        if access is PageAccess.CREDENTIALS:
            cors += b"Access-Control-Allow-Credentials: true\r\n"
        cors += _VARY
        return AdmissionVerdict(None, cors, _preflight(request, cors))

    def _is_foreign_load(self, request: "InboundRequest", site: bytes | None) -> bool:
        """A picture or script of another site's page, for which browsers send no Origin; a link may be followed.

        Referer may name the page; a page can leave it out but not forge it.
        """
        facts = request.facts
        if site != b"cross-site" or self._origins.admits_all:
            return False
        if request.method in _NAVIGATIONS and facts.get("sec_fetch_mode") == b"navigate":
            return False
        page = _PAGE.match(facts.get("referer", b""))
        return page is None or self._origins.access(page[0].decode("latin-1")) is PageAccess.NONE


def _preflight(request: "InboundRequest", cors: bytes) -> bytes | None:
    facts = request.facts
    method = facts.get("cors_method")
    if request.method != b"OPTIONS" or method is None:
        return None
    lines = [cors, b"Access-Control-Max-Age: %d\r\n" % _PREFLIGHT_LASTS_S]
    if _METHOD.fullmatch(method):
        lines.append(b"Access-Control-Allow-Methods: %b\r\n" % method)
    names = facts.get("cors_headers")
    if names and _NAMES.fullmatch(names):  # each by its name: `*` would not cover Authorization
        lines.append(b"Access-Control-Allow-Headers: %b\r\n" % names)
    if facts.get("cors_private_network") == b"true":
        lines.append(b"Access-Control-Allow-Private-Network: true\r\n")
    return b"".join(lines)


def own_answer_lines(cors: bytes | None) -> bytes:
    """For an answer of this proxy's own."""
    return b"" if cors is None else b"%bAccess-Control-Expose-Headers: %b\r\n" % (cors, EXPOSED)


def readable(start: bytes, cors: bytes) -> bytes:
    """A server's status line and fields with our word on who may read them instead of its own: two would be invalid."""
    first, *lines = start.splitlines(keepends=True)
    kept, exposed = [first], [EXPOSED]
    for line in lines:
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower == _EXPOSE:
            exposed.append(value.strip())
        elif lower == b"vary" and value.strip().lower() == b"origin":
            continue  # ours says so
        elif not lower.startswith(_CORS_FIELD):
            kept.append(line)
    return b"%b%bAccess-Control-Expose-Headers: %b\r\n" % (b"".join(kept), cors, b", ".join(exposed))
