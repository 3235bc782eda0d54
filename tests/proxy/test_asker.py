"""Which source of each column counts, what is hashed, and what is not stored."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.proxy.asker import Askers, app_of
from llm_metrics_proxy.proxy.headers import REQUEST_RULES, sort_fields
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.base import copy_request_facts
from llm_metrics_proxy.wire.identity import HEADER, HEADER_FIELDS, SOURCES
from tests.examples import examples
from tests.proxy.recorded_clients import RECORDED, RecordedClient

COLUMNS = ("app", "session_id", "session_source", "agent_id", "parent_agent_id", "user", "user_agent", "origin")
BODIES: dict[str, dict[str, Any]] = {
    "body:user": {"user": "USER"},
    "body:safety_identifier": {"safety_identifier": "SAFE"},
    "body:metadata.user_id": {"metadata": {"user_id": '{"device_id":"DEVICE","session_id":"CLAUDE"}'}},
    "body:conversation": {"conversation": {"id": "CONVERSATION"}},
    "body:conversation_id": {"conversation_id": "CONVERSATION2"},
    "body:prompt_cache_key": {"prompt_cache_key": "CACHE"},
}


def recorded(
    head: list[tuple[bytes, bytes]], body: bytes, askers: Askers, path: bytes = b"/v1/messages"
) -> RequestRecord:
    """What a record says about a request with this head and body, as ``acceptance`` and ``upload`` fill it."""
    fields = sort_fields(head, REQUEST_RULES)
    asker = askers.of_head(fields.facts, fields.lines)
    record = RequestRecord(
        request_id="0" * 32, timestamp="t", method="POST", endpoint="/", app=asker.app, origin=asker.origin,
        user_agent=asker.user_agent,
    )  # fmt: skip
    for column, value in asker.columns:
        setattr(record, column, value)
    facts = PathPolicy(members=askers.members).route(b"POST", path).read_request(body)
    copy_request_facts(facts, record)
    if facts.claims is not None or askers.settles:
        askers.settle(record, asker, facts)
    return record


def of(source: str) -> tuple[list[tuple[bytes, bytes]], dict[str, Any], str]:
    """A head and a body that say something through this source alone, and what they say."""
    if source.startswith(HEADER):
        name = source.removeprefix(HEADER)
        return [(name.title().encode(), f"of-{name}".encode())], {}, f"of-{name}"
    body = BODIES[source]
    inner = json.dumps(body)
    word = "DEVICE" if source == "body:metadata.user_id" else re.findall("[A-Z]{4,}2?", inner)[0]
    return [], body, word


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        (column, order[one], order[other])
        for column, order in SOURCES.items()
        for one in range(len(order))
        for other in range(one + 1, len(order))
    ],
)
def test_of_two_sources_the_one_before_counts(column: str, first: str, second: str) -> None:
    (head, body, said), (other_head, other_body, _) = of(first), of(second)
    record = recorded(other_head + head, json.dumps(body | other_body).encode(), Askers(b"k"))
    if (column, first) == ("session_id", "body:metadata.user_id"):
        said = "CLAUDE"
    assert getattr(record, column) == said
    if column == "session_id":
        assert record.session_source == first


@pytest.mark.parametrize("client", RECORDED, ids=lambda client: client.name)
def test_clients_are_known(client: RecordedClient) -> None:
    pairs = [tuple(line.encode().split(b": ", 1)) for line in client.lines]
    path = client.path.partition("?")[0].encode()
    record = recorded(pairs, json.dumps(client.body).encode(), Askers(b"k"), path)  # type: ignore[arg-type]
    assert {name: getattr(record, name) for name in client.expected} == client.expected


@pytest.mark.parametrize(
    ("fields", "app"),
    [
        ({"user_agent": "curl/8.5", "x-app": "cli"}, "Claude Code"),
        ({"user_agent": "claude-cli/2.1 (external, cli)", "x-app": "cli-bg"}, "Claude Code"),
        ({"user_agent": "OpenAI/JS 4.96.0", "x-title": "Cline", "http-referer": "https://cline.bot"}, "Cline"),
        ({"user_agent": "OpenAI/JS 4.96.0", "http-referer": "https://www.continue.dev/"}, "Continue"),
        ({"x-title": "opencode"}, "OpenCode"),
        ({"x-openrouter-title": "Mine", "x-title": "Other"}, "Mine"),
        ({"x-title": "nightly report", "x-app": "cli", "user_agent": "claude-cli/2"}, "nightly report"),
        ({"originator": "codex_vscode", "user_agent": "x/1"}, "Codex"),
        ({"x-client-app": "my-agent/1.2", "x-app": "cli"}, "my-agent"),
        ({"x-openwebui-user-id": "u", "user_agent": "Python/3.11 aiohttp/3.9.5"}, "Open WebUI"),
        ({"http-referer": "https://app.example.com/chat?x=1", "user_agent": "OpenAI/Python 1"}, "app.example.com"),
        ({"http-referer": "http://localhost:3000", "user_agent": "OpenAI/Python 1"}, "OpenAI Python"),
        ({"metrics_origin": "billing", "x-title": "Cline", "originator": "codex_exec"}, "billing"),
        ({"x-title": "", "user_agent": "curl/8"}, "curl"),
        ({"x-title": "a\x00b", "user_agent": "curl/8"}, "curl"),
        ({}, None),
    ],
)
def test_what_a_person_sets_beats_what_a_program_sends(fields: dict[str, str], app: str | None) -> None:
    assert app_of({name: value.encode() for name, value in fields.items()}) == app


def test_values_that_are_no_ids_leave_the_place_to_the_next_source() -> None:
    for bad in (b"", b" ", b"x" * 257, b"a\tb", b"\xff\xfe", "a\u2028b".encode()):
        record = recorded([(b"X-Claude-Code-Session-Id", bad), (b"X-Session-Id", b"s-1")], b"{}", Askers(b"k"))
        assert (record.session_id, record.session_source) == ("s-1", "header:x-session-id")
    assert recorded([(b"session-id", b"x" * 256)], b"{}", Askers(b"k")).session_id == "x" * 256


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/chat/completions", b"/v1/responses", b"/v1/embeddings"])
@pytest.mark.parametrize("more", [{}, {"prompt_cache_key": "c"}])
def test_a_user_that_is_no_name_leaves_the_place_to_the_next_source(path: bytes, more: dict[str, str]) -> None:
    head = [(b"X-OpenWebUI-User-Id", b"ow")]
    for bad in ("", "  ", "a\nb", "a\x00b", "\u202eevil"):
        body = msgspec.json.encode({"user": bad, **more})
        assert recorded(head, body, Askers(b"k"), path).user == "ow"
        assert recorded([], body, Askers(b"k"), path).user is None
    assert recorded(head, msgspec.json.encode({"user": " bob ", **more}), Askers(b"k"), path).user == "bob"


def test_settings_name_sources_before_those_that_are_known() -> None:
    askers = Askers(
        b"k",
        {
            "session_id": ["header:X-My-Session", "body:metadata.chat.id"],
            "user": ["header:x-tenant", "body:metadata.user_id"],
            "app": ["body:application"],
        },
    )
    head = [(b"X-Claude-Code-Session-Id", b"claude"), (b"User-Agent", b"curl/8")]
    body = b'{"user":"u","metadata":{"chat":{"id":77},"user_id":"{}"},"application":"mine"}'
    record = recorded(head, body, askers)
    assert (record.session_id, record.session_source) == ("77", "body:metadata.chat.id")
    assert (record.user, record.app) == ("{}", "mine")
    record = recorded([*head, (b"x-MY-session", b"own"), (b"X-Tenant", b"t")], body, askers)
    assert (record.session_id, record.session_source, record.user) == ("own", "header:x-my-session", "t")
    record = recorded(head, b'{"user":"u"}', askers, b"/v1/chat/completions")
    assert (record.session_id, record.user, record.app) == ("claude", "u", "curl")
    record = recorded([], body, askers, b"/v1/chat/completions")
    assert (record.session_id, record.user, record.app) == ("77", "{}", "mine")


def test_a_hash_is_the_same_for_the_same_value_and_tells_nothing() -> None:
    askers = Askers(b"k", hashed=("user", "session_id"))
    head = [(b"session-id", b"s-1")]
    first, again = (
        recorded(head, b'{"user":"s-1"}', askers),
        recorded(head, b'{"user":"u-2"}', Askers(b"k", hashed=("user", "session_id"))),
    )
    assert re.fullmatch("[0-9a-f]{16}", first.session_id or "")
    assert first.session_id == again.session_id == first.user != again.user
    assert first.session_source == "header:session-id"
    assert recorded(head, b"{}", Askers(b"other", hashed=("session_id",))).session_id != first.session_id
    assert recorded([], b'{"metadata":{"user_id":"u-2"}}', askers).user == again.user


def test_what_is_not_to_be_stored_is_not() -> None:
    askers = Askers(b"k", not_stored=COLUMNS)
    for source in [source for order in SOURCES.values() for source in order]:
        head, body, _ = of(source)
        head += [(b"User-Agent", b"curl/8"), (b"Origin", b"http://a"), (b"X-Title", b"t")]
        record = recorded(head, json.dumps(body).encode(), askers)
        assert {name: getattr(record, name) for name in COLUMNS} == dict.fromkeys(COLUMNS)


_TEXTS = st.text(max_size=300) | st.sampled_from(
    ["", "{", "{}", "[" * 3000, '{"a":' * 2000, "user__account__session_", "user_a_account_b_session_c",
     "\x00", "x" * 300,
     '{"device_id":5,"session_id":[1]}', '{"session_id":"' + "s" * 5000]
)  # fmt: skip


@examples(150)
@given(
    st.lists(
        st.tuples(st.sampled_from([name.encode() for name in HEADER_FIELDS]), st.binary(max_size=300)), max_size=6
    ),
    st.dictionaries(
        st.sampled_from(
            ["user", "safety_identifier", "conversation", "conversation_id", "prompt_cache_key", "metadata"]
        ),
        _TEXTS
        | st.integers()
        | st.none()
        | st.fixed_dictionaries({"user_id": _TEXTS, "id": _TEXTS})
        | st.lists(_TEXTS, max_size=2),
    ),
)
def test_nothing_hostile_makes_it_fail_or_is_stored(head: list[tuple[bytes, bytes]], body: dict[str, Any]) -> None:
    for askers in (Askers(b"k"), Askers(b"k", {"user": ["body:metadata.id"], "session_id": ["body:user"]}, ("user",))):
        record = recorded(head, msgspec.json.encode(body), askers)
        for name in ("app", "session_id", "agent_id", "parent_agent_id"):
            value = getattr(record, name)
            assert value is None or (0 < len(value) <= 256 and value.isprintable())
        assert (record.session_id is None) == (record.session_source is None)
        assert record.user is None or (0 < len(record.user) <= 256 and record.user.isprintable())
