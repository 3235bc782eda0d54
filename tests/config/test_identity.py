"""The section ``[identity]`` of the file, and the same as flags and variables."""

from pathlib import Path

import pytest

from llm_metrics_proxy.config.sources import load, settings_table
from llm_metrics_proxy.errors import SettingsError


def loaded(folder: Path, text: str, **variables: str):  # type: ignore[no-untyped-def]
    file = folder / "proxy.toml"
    file.write_text(text, encoding="utf-8")
    return load({}, variables, file)


def test_the_section_holds_the_settings_of_its_name(tmp_path: Path) -> None:
    text = """
identity_hash = ["user", "session_id"]

[identity]
session_id = ["header:X-My-Session", "body:metadata.chat_id"]
user = "body:metadata.tenant"
not_stored = ["user_agent"]

[[prices]]
model = "m"
input_usd_per_mtok = 1
"""
    found = loaded(tmp_path, text)
    settings = found.settings
    assert settings.identity_session_id == ["header:x-my-session", "body:metadata.chat_id"]
    assert (settings.identity_user, settings.identity_app) == (["body:metadata.tenant"], [])
    assert (settings.identity_hash, settings.identity_not_stored) == (["user", "session_id"], ["user_agent"])
    assert found.origins["identity_session_id"].endswith("line 5, key identity_session_id")
    shown = {row["name"]: row["value"] for row in settings_table(found)}
    assert shown["identity_hash"] == "['user', 'session_id']"


def test_the_long_names_are_understood_in_the_section_too(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[identity]\nidentity_hash = ["user"]\n').settings.identity_hash == ["user"]


def test_a_variable_names_several(tmp_path: Path) -> None:
    found = loaded(tmp_path, "", LLM_METRICS_PROXY_IDENTITY_SESSION_ID="header:a, body:b.c")
    assert found.settings.identity_session_id == ["header:a", "body:b.c"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('session_id = ["x-my-session"]', "identity_session_id"),
        ('session_id = ["header:"]', "identity_session_id"),
        ('session_id = ["header:a b"]', "identity_session_id"),
        ('session_id = ["body:"]', "identity_session_id"),
        ('session_id = ["body:a..b"]', "identity_session_id"),
        ('user = ["header:Authorization"]', "identity_user"),
        ('user = ["header:x-api-key"]', "identity_user"),
        ('user = ["header:cookie"]', "identity_user"),
        ('user = ["header:Ocp_Apim_Subscription_Key"]', "identity_user"),
        ('user = ["header:x-litellm-api-key"]', "identity_user"),
        ('user = ["header:x-amz-security-token"]', "identity_user"),
        ('user = ["header:sec-websocket-protocol"]', "identity_user"),  # browsers put a key into it
        ('app = ["header:host"]', "identity_app"),
        ('app = ["header:content_length"]', "identity_app"),
        ("agent_id = 5", "identity_agent_id"),
        ('hash = ["model"]', "identity_hash"),
        ('not_stored = ["prompt"]', "identity_not_stored"),
    ],
)
def test_a_mistake_names_its_line_and_what_is_allowed(tmp_path: Path, line: str, name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, f"[identity]\n{line}\n")
    [problem] = caught.value.problems
    assert problem.startswith(f"{name} = ")
    assert f"line 2, key {name}" in problem
    assert "must be " in problem


def test_an_unknown_key_is_one_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, "[identity]\nsession = []\n")
    [problem] = caught.value.problems
    assert "'identity_session'" in problem
    assert "did you mean identity_session_id?" in problem


def test_a_setting_alone_and_in_the_section_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, 'identity_user = "header:a"\n[identity]\nuser = "header:b"\n')
    [problem] = caught.value.problems
    assert problem.startswith("'identity_user'")
    assert "twice, alone and in [identity]" in problem


@pytest.mark.parametrize("text", ["identity = 3\n", '[[identity]]\nuser = "header:a"\n'])
def test_the_section_is_one_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text)
    [problem] = caught.value.problems
    assert problem.startswith("'identity'")
    assert problem.endswith("line 1): must be one table, [identity]")
