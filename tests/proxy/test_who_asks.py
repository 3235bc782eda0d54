"""Who asks, through a real worker: heads of real clients, settings that change, and bytes that do not."""

import json
from pathlib import Path

import pytest

from tests.proxy.client import post
from tests.proxy.harness import ProxyWorker
from tests.proxy.recorded_clients import DEVICE, RECORDED, SESSION, RecordedClient
from tests.upstream import FakeUpstream, Send, response

pytestmark = pytest.mark.system

LIMITS = (
    ("date", "Sun, 29 Nov 2026 12:00:00 GMT"), ("x-codex-plan-type", "plus"), ("x-codex-primary-used-percent", "12.5"),
    ("x-codex-primary-window-minutes", "300"), ("x-codex-primary-reset-after-seconds", "60"),
)  # fmt: skip
OK = [Send(response(b"{}"))]


def asked(client: RecordedClient) -> bytes:
    """As the client sends it."""
    body = json.dumps(client.body, separators=(",", ":")).encode()
    return post(body, *(line.encode() for line in client.lines), path=client.path.encode())


def test_every_client_is_known_and_forwarded_as_it_came(tmp_path: Path) -> None:
    with FakeUpstream(OK) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        for number, client in enumerate((*RECORDED, *RECORDED), 1):  # the second time, its head is known
            proxy.ask(asked(client))
            record = proxy.records(number)[-1]
            assert {name: getattr(record, name) for name in client.expected} == client.expected, client.name
            received = upstream.requests[-1]
            own = [line for line in client.lines if not line.lower().startswith("connection:")]
            lines = received.head.decode().split("\r\n")
            assert [line for line in lines if line in own] == own, client.name
            assert json.loads(received.body) == client.body


def test_settings_are_read_again(tmp_path: Path) -> None:
    claude = RECORDED[0]
    with FakeUpstream(OK) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        proxy.ask(asked(claude))
        proxy.reload(
            identity_hash=["user", "session_id"], identity_app=["body:model"], identity_not_stored=["user_agent"]
        )
        proxy.ask(asked(claude))
        proxy.reload(identity_hash=[], identity_app=[], identity_not_stored=["user", "session_id", "app"])
        proxy.ask(asked(claude))
        before, hashed, gone = proxy.records(3)
    assert (before.user, before.session_id, before.app) == (DEVICE, SESSION, "Claude Code")
    assert len(hashed.user or "") == len(hashed.session_id or "") == 16
    assert (hashed.app, hashed.user_agent, hashed.session_source) == (
        "claude-opus-4-8", None, "header:x-claude-code-session-id",
    )  # fmt: skip
    assert (gone.user, gone.session_id, gone.session_source, gone.app) == (None, None, None, None)


def test_what_is_left_of_a_subscription_is_recorded(tmp_path: Path) -> None:
    with FakeUpstream([Send(response(b"{}", *LIMITS))]) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        answer = proxy.ask(asked(RECORDED[3]))
        record = proxy.record()
    assert (b"x-codex-plan-type", b"plus") in answer.fields
    assert (record.quota_plan, record.quota_primary_used_percent) == ("plus", 12.5)
    assert (record.quota_primary_window_ms, record.quota_primary_reset_ms) == (18_000_000.0, 60_000.0)
