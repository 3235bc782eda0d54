"""What fields that say who asks mean."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.anthropic import AnthropicRequest
from llm_metrics_proxy.wire.apis.ollama import OllamaRequest
from llm_metrics_proxy.wire.apis.openai_requests import ChatRequest
from llm_metrics_proxy.wire.identity import ClaudeId, claimed, claude_id, one_line, sane
from llm_metrics_proxy.wire.requests import naming
from tests.examples import examples


@pytest.mark.parametrize(
    ("text", "user", "session"),
    [
        ("user_1", "user_1", None),
        ('{"device_id":"d","account_uuid":"a","session_id":"s"}', "d", "s"),
        ('{"device_id":"","account_uuid":"a","session_id":"s"}', "a", "s"),
        ('{"session_id":"s"}', None, "s"),
        ('{"device_id":7,"account_uuid":"a","session_id":["s"]}', "a", None),
        ('{"extra":{"deep":[1,2]},"device_id":"d","session_id":"s"}', "d", "s"),
        ("user_ab12_account_c-3_session_d-4", "ab12", "d-4"),
        ("user_ab12_account__session_d-4", "ab12", "d-4"),
        ("user_a_b_account__session_d", "a_b", "d"),
        ('{"device_id":"d","session_id":"s"', None, None),
        ("x_session_y", None, None),
        ('{"tenant":"t"}', '{"tenant":"t"}', None),
        ("u" * 300, "u" * 256, None),
        ("", None, None),
        ("a\nb", None, None),
        ('{"device_id":"d\\u0000","account_uuid":"a","session_id":"s\\n"}', "a", "s"),
        ('{"session_id":"' + "s" * 300 + '","device_id":"d"}', "d", None),
        ('{"x":"' + "y" * 5000 + '","session_id":"s"}', None, None),
        ("[" * 4000, "[" * 256, None),
    ],
)
def test_the_user_of_claude_code_is_the_device_and_never_the_session(
    text: str, user: str | None, session: str | None
) -> None:
    assert claude_id(text) == ClaudeId(user, session)


@examples(100)
@given(st.text(), st.text(min_size=1, alphabet="0123456789abcdef-"), st.booleans())
def test_a_session_never_becomes_part_of_the_user(device: str, session: str, older: bool) -> None:
    session = f"f00d-{session}"
    text = (
        f"user_{device}_account__session_{session}"
        if older
        else json.dumps({"device_id": device, "session_id": session})
    )
    found = claude_id(text)
    assert session not in (found.user or "")


def test_ids_are_never_cut_and_names_are() -> None:
    assert (sane(" a b "), sane("x" * 256), sane("x" * 257), sane(""), sane(5), sane("\u200b")) == (
        "a b", "x" * 256, None, None, None, None,
    )  # fmt: skip
    assert (one_line("x" * 300), one_line("a\rb"), one_line(None)) == ("x" * 256, None, None)


@pytest.mark.parametrize("read", [ChatRequest.read, AnthropicRequest.read, OllamaRequest.read])
def test_members_that_settings_name_come_from_the_same_pass(read) -> None:  # type: ignore[no-untyped-def]
    body = (
        b'{"model":"m","stream":true,"messages":[{},{}],"a-b":{"c":{"d.e":1,"f":"x"}},"facts":7,"n":true,"big":[1,2]}'
    )
    facts, plain = naming(read, ("a-b", "facts", "n", "big", "model"))(body), read(body)
    assert (facts.model, facts.is_streaming, facts.message_count) == ("m", True, plain.message_count)
    claims = facts.claims or {}
    found = [
        claimed(claims, path) for path in ("a-b.c.f", "facts", "model", "big", "a-b", "a-b.c.z", "q", "a-b.f.g", "n")
    ]
    assert found == ["x", "7", "m", None, None, None, None, None, None]
    assert naming(read, ()) is read
