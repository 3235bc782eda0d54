"""Hop-by-hop fields stay behind, all others go on with their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.headers import (
    REQUEST_RULES,
    RESPONSE_RULES,
    Field,
    RuleTable,
    check_request,
    forwarding_lines,
    is_host,
    sort_fields,
    tokens,
    without_fields,
    without_forwarded,
)  # fmt: skip
from llm_metrics_proxy.wire.identity import HEADER_FIELDS
from llm_metrics_proxy.wire.rate_limits import QUOTA_FIELDS
from tests.examples import examples

HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
}  # fmt: skip
OURS = {b"host", b"content-length", b"expect"}  # written anew for the upstream
ALWAYS_KEPT = {b"authorization", b"content-type", b"content-encoding", b"cache-control"}

_token = st.text("abcXYZ-09!", min_size=1, max_size=6).map(str.encode)
_known = st.sampled_from(sorted(HOP_BY_HOP | OURS | ALWAYS_KEPT | {b"accept", b"x-private", b"set-cookie"}))


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A field name in any case."""
    name = draw(st.one_of(_known, _token)).decode()
    return "".join(draw(st.sampled_from((char.lower(), char.upper()))) for char in name).encode()


_value = st.binary(max_size=8).map(lambda value: value.translate(None, b"\r\n\0"))
_connection = st.lists(spelled(), max_size=3).map(lambda names: (b"Connection", b", ".join(names)))
_fields = st.lists(st.one_of(st.tuples(spelled(), _value), _connection), max_size=8)


@examples(120)
@given(_fields)
def test_no_hop_by_hop_field_survives_and_everything_else_does_in_order(fields: list[Field]) -> None:
    nominated = {
        part.strip().lower() for name, value in fields if name.lower() == b"connection" for part in value.split(b",")
    }
    dropped = HOP_BY_HOP | OURS | (nominated - ALWAYS_KEPT)
    kept = [b"%b: %b\r\n" % (name, value) for name, value in fields if name.lower() not in dropped]
    assert sort_fields(fields, REQUEST_RULES).lines == kept


@examples(60)
@given(_fields)
def test_the_same_holds_for_answers(fields: list[Field]) -> None:
    lines = sort_fields(fields, RESPONSE_RULES).lines
    names = [line.partition(b":")[0].lower() for line in lines]
    assert not (HOP_BY_HOP | {b"content-length"}) & set(names)
    survivors = iter(fields)
    assert all(any(line == b"%b: %b\r\n" % field for field in survivors) for line in lines)  # in order


def test_lists_that_are_spread_over_fields_are_one_list() -> None:
    fields = sort_fields([(b"Connection", b"a"), (b"X", b"1"), (b"connection", b"x")], REQUEST_RULES)
    assert fields.facts["connection"] == b"a,x"
    assert fields.lines == []


@pytest.mark.parametrize(("fields", "repeated"), [((b"Host", b"hOST"), True), ((b"Host", b"Accept", b"Accept"), False)])
def test_a_repeated_host_is_noticed(fields: tuple[bytes, ...], repeated: bool) -> None:
    assert sort_fields([(name, b"a") for name in fields], REQUEST_RULES).repeated is repeated


def test_the_table_learns_spellings_but_not_without_end() -> None:
    table = RuleTable({b"te": REQUEST_RULES[b"te"]})
    assert table[b"tE"] is table[b"te"]
    assert b"tE" in table
    for number in range(10_000):
        assert table[b"X-%d" % number].forward
    assert len(table) <= 4096


GOOD = {"host": b"a"}


@pytest.mark.parametrize(
    ("version", "method", "facts", "status"),
    [
        ("1.1", b"GET", GOOD, None),
        ("1.1", b"GET", {}, 400),
        ("1.0", b"GET", {}, None),
        ("1.1", b"GET", {"host": b"a/b"}, 400),
        ("1.1", b"GET", {"host": b""}, None),
        ("1.0", b"POST", GOOD | {"transfer_encoding": b"chunked"}, 400),
        ("1.1", b"POST", GOOD | {"transfer_encoding": b"Chunked"}, None),
        ("1.1", b"POST", GOOD | {"transfer_encoding": b"gzip, chunked"}, 501),
        ("1.1", b"POST", GOOD | {"transfer_encoding": b"chunked, gzip"}, 400),
        ("1.1", b"POST", GOOD | {"transfer_encoding": b"gzip"}, 400),
        ("1.1", b"POST", GOOD | {"transfer_encoding": b""}, 400),
        ("1.1", b"POST", GOOD | {"expect": b"100-Continue"}, None),
        ("1.1", b"POST", GOOD | {"expect": b"100-continue, more"}, 417),
        ("1.1", b"CONNECT", GOOD, 501),
        ("1.1", b"TRACE", GOOD, 501),
    ],
)
def test_what_is_refused_by_its_head_alone(
    version: str, method: bytes, facts: dict[str, bytes], status: int | None
) -> None:
    fields = sort_fields([], REQUEST_RULES)
    fields.facts.update(facts)
    refusal = check_request(version, method, fields)
    assert (refusal and refusal.status) == status


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (b"example.org", True), (b"example.org:8080", True), (b"[::1]:80", True), (b" a\t", True), (b"", True),
        (b"a b", False), (b"a/b", False), (b"a@b", False), (b"a?b", False), (b"a#b", False), (b"\xe9", False),
        (b"a\\b", False), (b'a"b', False), (b"a<b", False),
    ],
)  # fmt: skip
def test_hosts(value: bytes, good: bool) -> None:
    assert is_host(value) is good


@pytest.mark.parametrize(
    ("facts", "trusted", "lines"),
    [
        ({}, False, [b"For: 192.0.2.1", b"Proto: http"]),
        ({"host": b"h"}, False, [b"For: 192.0.2.1", b"Proto: http", b"Host: h"]),
        ({"x-forwarded-for": b"9.9.9.9", "host": b"h"}, False, [b"For: 192.0.2.1", b"Proto: http", b"Host: h"]),
        ({"x-forwarded-for": b"9.9.9.9"}, True, [b"For: 9.9.9.9, 192.0.2.1", b"Proto: http"]),
        ({"x-forwarded-proto": b"https", "x-forwarded-host": b"x", "host": b"h"}, True, [b"For: 192.0.2.1"]),
    ],
)
def test_whom_we_forward_for(facts: dict[str, bytes], trusted: bool, lines: list[bytes]) -> None:
    expected = b"".join(b"X-Forwarded-%b\r\n" % line for line in lines) + b"Via: 1.1 llm-metrics-proxy\r\n"
    assert forwarding_lines(facts, b"192.0.2.1", trusted=trusted) == expected


@pytest.mark.parametrize("rules", [REQUEST_RULES, RESPONSE_RULES])
def test_a_name_that_only_underscores_tell_from_one_of_ours_is_dropped(rules: RuleTable) -> None:
    looked_at = {name.encode() for name in (*HEADER_FIELDS, *QUOTA_FIELDS)}
    ours = [name for name, rule in rules.items() if (rule.fact or not rule.forward) and name.lower() not in looked_at]
    twins = [name for name in ours if b"-" in name and b"_" not in name]
    assert b"transfer-encoding" in twins
    names = [name.replace(b"-", b"_") for name in twins]
    names += [name.upper() for name in names] + [name.replace(b"-", b"_", 1) for name in twins]
    names += [b"X_Forwarded_User", b"x-forwarded_ssl"]
    kept = [b"X_Team", b"_", b"conversation_id", b"Transfer__Encoding", b"x_session_id", b"X_Title"]
    found = sort_fields([(name, b"1") for name in (*names, *kept)], rules)
    assert found.lines == [name + b": 1\r\n" for name in kept]
    assert found.facts == {}


def test_what_is_only_recorded_goes_on_in_every_spelling() -> None:
    names = [
        spelt(name).encode() for name in HEADER_FIELDS for spelt in (str, str.upper, lambda n: n.replace("-", "_"))
    ]
    assert sort_fields([(name, b"1") for name in names], REQUEST_RULES).lines == [name + b": 1\r\n" for name in names]
    assert sort_fields([(b"session_id", b"1"), (b"X-TITLE", b"2")], REQUEST_RULES).facts == {
        "session_id": b"1", "x-title": b"2",
    }  # fmt: skip


def test_what_a_backend_adds_gives_way_to_no_spelling_of_a_client() -> None:
    lines = [b"X-Team: a\r\n", b"x_team: b\r\n", b"X_team: c\r\n", b"X-Teams: d\r\n"]
    assert without_fields(lines, frozenset({b"x-team"})) == [b"X-Teams: d\r\n"]


def test_fields_are_dropped_by_name_in_any_case() -> None:
    lines = [b"X-Forwarded-FOR: 1\r\n", b"forwarded: 2\r\n", b"X-Forwarded-Proto: 3\r\n", b"X-For: 4\r\n"]
    assert without_forwarded(lines, trusted=False) == lines[3:]
    assert without_forwarded(lines, trusted=True) == lines[1:]
    assert without_fields(lines, frozenset({b"x-for"})) == lines[:3]


def test_tokens() -> None:
    assert tokens(b" A ,, b,C,") == [b"a", b"b", b"c"]
    assert tokens(b"") == []
