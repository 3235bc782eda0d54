"""End-to-end and hop-by-hop rules (RFC 9110 section 7.6.1, RFC 9112), pure: parsed fields in, decisions and bytes out.

The parser (llhttp, strict) has already refused what is malformed inside one message: Content-Length beside
Transfer-Encoding, repeated Content-Length, chunked that is not last, space before a colon, folded lines, control
characters. What it leaves to its user is decided here: Host, Expect, Connection's nominations, versions.

Field names are looked up in a table that learns each spelling once, so a request costs one dict hit per field.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.wire import aws_head, head_counts, identity, rate_limits

Field = tuple[bytes, bytes]

_MAX_LEARNED: Final = 4096  # spellings; a hostile client could invent names without end
_VALID_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_FORWARDED: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded")
VIA: Final = b"Via: 1.1 llm-metrics-proxy\r\n"


class Rule(NamedTuple):
    """What to do with a field: pass it on, and under which name to remember its value."""

    forward: bool
    fact: str | None


_PLAIN: Final = Rule(forward=True, fact=None)
_DROPPED: Final = Rule(forward=False, fact=None)


class RuleTable(dict[bytes, Rule]):
    """Rules by exact spelling; an unseen spelling is lowered, looked up and remembered.

    CGI, WSGI and PHP turn dashes into underscores, so behind them ``Transfer_Encoding`` and ``Transfer-Encoding`` are
    one: a name that only so becomes one of the table's is dropped. Others keep their underscores (``session_id``).
    ``looked_at``: fields that decide nothing and are only recorded, so their twins may pass.
    """

    def __init__(self, by_lower_name: dict[bytes, Rule], looked_at: Iterable[str] = ()) -> None:
        watched = {name.encode(): Rule(forward=True, fact=name) for name in looked_at}
        super().__init__(watched | by_lower_name)
        self._by_lower_name = by_lower_name
        self._looked_at = watched

    def __missing__(self, name: bytes) -> Rule:
        lower = name.lower()
        rule = self._by_lower_name.get(lower) or self._looked_at.get(lower, _PLAIN)
        if rule is _PLAIN and b"_" in lower and lower not in self._by_lower_name:
            twin = dashed(lower)
            if twin in self._by_lower_name or twin.startswith(b"x-forwarded-"):
                rule = _DROPPED
        if len(self) < _MAX_LEARNED:
            self[name] = rule
        return rule


def dashed(lower_name: bytes) -> bytes:
    """A field's name as servers see it that take underscores for dashes."""
    return lower_name.replace(b"_", b"-")


_HOP_BY_HOP: Final = {
    b"connection": Rule(forward=False, fact="connection"),
    b"keep-alive": _DROPPED,
    b"proxy-connection": _DROPPED,
    b"proxy-authenticate": _DROPPED,
    b"proxy-authorization": _DROPPED,
    b"te": _DROPPED,
    b"trailer": _DROPPED,
    b"transfer-encoding": Rule(forward=False, fact="transfer_encoding"),
    b"upgrade": Rule(forward=False, fact="upgrade"),
}

REQUEST_RULES: Final = RuleTable(
    {
        **_HOP_BY_HOP,
        b"host": Rule(forward=False, fact="host"),
        b"expect": Rule(forward=False, fact="expect"),
        b"content-length": Rule(forward=False, fact="content_length"),  # rewritten: the body may be re-framed
        b"content-type": Rule(forward=True, fact="content_type"),
        b"content-encoding": Rule(forward=True, fact="content_encoding"),
        b"accept-encoding": Rule(forward=True, fact="accept_encoding"),
        b"authorization": Rule(forward=True, fact="authorization"),
        b"x-api-key": Rule(forward=True, fact="api_key"),
        b"api-key": Rule(forward=True, fact="api_key"),
        b"x-goog-api-key": Rule(forward=True, fact="api_key"),
        b"x-llm-metrics-origin": Rule(forward=True, fact="metrics_origin"),
        b"x-llm-metrics-tag": Rule(forward=False, fact="metrics_tag"),
        b"traceparent": Rule(forward=True, fact="traceparent"),
        b"origin": Rule(forward=True, fact="origin"),
        b"referer": Rule(forward=True, fact="referer"),
        b"user-agent": Rule(forward=True, fact="user_agent"),
        **{name: Rule(forward=True, fact=name.decode()) for name in _FORWARDED},
        b"sec-fetch-site": Rule(forward=True, fact="sec_fetch_site"),
        b"sec-fetch-mode": Rule(forward=True, fact="sec_fetch_mode"),
        b"access-control-request-method": Rule(forward=True, fact="cors_method"),
        b"access-control-request-headers": Rule(forward=True, fact="cors_headers"),
        b"access-control-request-private-network": Rule(forward=True, fact="cors_private_network"),
        # useless here, but servers believe them: no underscore may stand in for their dashes
        **dict.fromkeys((b"x-real-ip", b"remote-user", b"x-remote-user", b"x-original-url", b"x-rewrite-url"), _PLAIN),
    },
    looked_at=identity.HEADER_FIELDS,
)

RESPONSE_RULES: Final = RuleTable(
    {
        **_HOP_BY_HOP,
        b"content-length": Rule(forward=False, fact="content_length"),
        b"content-type": Rule(forward=True, fact="content_type"),
        b"content-encoding": Rule(forward=True, fact="content_encoding"),
        b"sec-websocket-extensions": Rule(forward=True, fact="websocket_extensions"),
        **{
            name.encode(): Rule(forward=True, fact=name)
            for name in (*rate_limits.FIELDS, *head_counts.FIELDS, *aws_head.FIELDS)
            if name not in rate_limits.QUOTA_FIELDS
        },
        b"x-llm-metrics-request-id": _DROPPED,  # a proxy behind this one set it; the client sees ours
    },
    looked_at=rate_limits.QUOTA_FIELDS,
)

# Two of these in one message mean two readers could disagree about it (RFC 9112 section 3.2).
_ONCE_ONLY: Final = frozenset({"host"})


class Fields(msgspec.Struct, frozen=True):
    """Fields sorted out: ``lines`` are the end-to-end ones as bytes; ``facts`` the values worth knowing."""

    lines: list[bytes]
    facts: dict[str, bytes]
    repeated: bool = False


def sort_fields(fields: Iterable[Field], rules: RuleTable) -> Fields:
    """Keep every end-to-end field with its bytes, repetitions and order; drop the hop-by-hop ones."""
    lines: list[bytes] = []
    facts: dict[str, bytes] = {}
    repeated = False
    for name, value in fields:
        forward, fact = rules[name]
        if forward:
            lines.append(b"%b: %b\r\n" % (name, value))
        if fact is not None:
            if fact in facts:
                repeated = repeated or fact in _ONCE_ONLY
                if fact in _LIST_VALUED:
                    value = facts[fact] + b"," + value  # noqa: PLW2901 -- a list may be spread over fields
            facts[fact] = value
    nominated = facts.get("connection")
    if nominated is not None and nominated not in _COMMON_CONNECTION:
        lines = _without_nominated(lines, nominated)
    return Fields(lines, facts, repeated)


_LIST_VALUED: Final = frozenset(
    {
        "connection", "upgrade", "expect", "x-forwarded-for", "content_encoding", "transfer_encoding", "metrics_tag",
        "cors_headers", "websocket_extensions",
        "origin", "sec_fetch_site",  # two of these are never allowed
    }
)  # fmt: skip
_COMMON_CONNECTION: Final = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Upgrade", b"upgrade"})
# A client must not be able to make us drop what frames or authorises the message (RFC 9110 section 7.6.1).
_NOT_NOMINABLE: Final = frozenset({b"authorization", b"content-type", b"content-encoding", b"cache-control", b"host"})


def tokens(value: bytes) -> list[bytes]:
    """The lower-case members of a comma-separated list."""
    return [token for part in value.split(b",") if (token := part.strip().lower())]


def _without_nominated(lines: list[bytes], connection: bytes) -> list[bytes]:
    nominated = set(tokens(connection)) - _NOT_NOMINABLE
    return [line for line in lines if line[: line.index(b":")].lower() not in nominated]


class HeadRefusal(NamedTuple):
    """A request that must not be forwarded: the status, a code for programs, and words for people."""

    status: int
    code: str
    message: str


def check_request(version: str, method: bytes, fields: Fields) -> HeadRefusal | None:
    """What RFC 9112 makes a server refuse beyond what the parser does; ``None`` when it may pass."""
    host = fields.facts.get("host")
    expect = fields.facts.get("expect")
    if host is None and version == "1.1":
        return HeadRefusal(400, "bad_host", "An HTTP/1.1 request needs a Host field (RFC 9112 section 3.2).")
    if host is not None and (fields.repeated or not is_host(host)):
        return HeadRefusal(400, "bad_host", "The Host field is repeated or is not a valid host (RFC 9112 section 3.2).")
    if (coding := fields.facts.get("transfer_encoding")) is not None:
        if version == "1.0":
            return HeadRefusal(400, "bad_framing", "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1).")
        codings = tokens(coding)
        if codings[-1:] != [b"chunked"]:
            return HeadRefusal(400, "bad_framing", "The last transfer coding must be chunked (RFC 9112 section 6.3).")
        if len(codings) > 1:
            return HeadRefusal(501, "transfer_coding_not_supported", "Only the transfer coding 'chunked' is supported.")
    if expect is not None and tokens(expect) != [b"100-continue"]:
        return HeadRefusal(417, "expectation_failed", "Only 'Expect: 100-continue' can be met.")
    if method in {b"CONNECT", b"TRACE"}:
        return HeadRefusal(501, "method_not_supported", f"{method.decode()} is not supported by this proxy.")
    return None


def is_host(value: bytes) -> bool:
    """A Host field's value may look like this: a name or an address, perhaps a port; it may be empty."""
    return _VALID_HOST.fullmatch(value.strip()) is not None


def forwarding_lines(facts: dict[str, bytes], client_address: bytes, *, trusted: bool) -> bytes:
    """``Via`` and ``X-Forwarded-*`` for the upstream. Incoming ones count only when the peer is trusted."""
    known = facts.get("x-forwarded-for") if trusted else None
    chain = known + b", " + client_address if known else client_address
    lines = b"X-Forwarded-For: %b\r\n" % chain
    if not (trusted and "x-forwarded-proto" in facts):
        lines += b"X-Forwarded-Proto: http\r\n"
    if not (trusted and "x-forwarded-host" in facts) and (host := facts.get("host")):
        lines += b"X-Forwarded-Host: %b\r\n" % host
    return lines + VIA


def without_forwarded(lines: list[bytes], *, trusted: bool) -> list[bytes]:
    """Drop the incoming ``X-Forwarded-*`` and ``Forwarded`` that ``forwarding_lines`` replaces."""
    replaced = (b"x-forwarded-for",) if trusted else _FORWARDED
    return [line for line in lines if line[: line.index(b":")].lower() not in replaced]


def without_fields(lines: list[bytes], lower_names: frozenset[bytes]) -> list[bytes]:
    """Drop every field of one of those names, whether it has dashes or underscores."""
    return [line for line in lines if dashed(line[: line.index(b":")].lower()) not in lower_names]
