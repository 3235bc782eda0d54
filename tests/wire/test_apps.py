"""Applications under the names that people know them by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apps import of_site, of_user_agent, of_x_app, titled
from tests.examples import examples

_CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "app"),
    [
        ("claude-cli/2.1.197 (external, cli, agent-sdk/0.2)", "Claude Code"),
        ("codex_cli_rs/0.58.0 (Mac OS 15.1.0; arm64) vscode/1.2", "Codex"),
        ("codex-tui/0.171.0 (Debian 12; x86_64)", "Codex"),
        ("RooCode/3.25.14", "Roo Code"), ("Zed/0.200.3 (linux; x86_64)", "Zed"), ("goose/1.9.0", "Goose"),
        ("GitHubCopilotChat/0.31.0", "GitHub Copilot"), ("OpenAI/JS 6.1.0", "OpenAI JS"),
        ("Anthropic/JS 0.94.0", "Anthropic JS"), ("AsyncAnthropic/Python 2.1", "Anthropic Python"),
        ("google-genai-sdk/1.40.0 gl-python/3.12.1", "Google Gen AI SDK"), ("ollama/0.12.6 (amd64 linux)", "Ollama"),
        ("Python/3.11 aiohttp/3.9.5", "aiohttp"), ("Python-urllib/3.11", "urllib"), ("Python/3.12", "Python"),
        ("ai-sdk/openai-compatible/1.0.22 runtime/node.js/22", "Vercel AI SDK"), ("axios/1.7.9", "axios"),
        ("node", "Node.js"), ("Go-http-client/1.1", "Go"), ("curl/8.5.0", "curl"), ("my-script/0.1 (x)", "my-script"),
        (_CHROME, "Chrome"), (_CHROME + " Edg/142.0.0.0", "Edge"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", "Safari"),
        (_CHROME.replace("Chrome", "Cursor/2.0.77 Chrome") + " Electron/34.5", "Cursor"),
        (_CHROME.replace("Chrome", "obsidian/1.8.9 Chrome") + " Electron/34.2", "Obsidian"),
        (_CHROME.replace("Chrome", "MyChat/1.0 Chrome") + " Electron/34.2", "MyChat"), ("Mozilla/5.0", "Browser"),
        ("", None), ("()", None), ("-", None),
    ],
)  # fmt: skip
def test_a_user_agent_has_a_familiar_name(agent: str, app: str | None) -> None:
    assert of_user_agent(agent) == app


def test_titles_sites_and_x_app() -> None:
    assert [titled(text) for text in ("Roo Code", "open webui", "codex_vscode", " Mine ", "x" * 99)] == [
        "Roo Code", "Open WebUI", "Codex", "Mine", "x" * 64,
    ]  # fmt: skip
    sites = ("https://www.continue.dev/", "https://opencode.ai/", "http://127.0.0.1:3000", "http://[::1]/", "x", "http://[",
             "https://u:secret@a.example/path?q")  # fmt: skip
    assert [of_site(url) for url in sites] == ["Continue", "OpenCode", None, None, None, None, "a.example"]
    assert [of_x_app(text) for text in ("cli", "cli-bg", "shop")] == ["Claude Code", "Claude Code", "shop"]


@examples(200)
@given(
    st.text(max_size=400)
    | st.lists(st.sampled_from(["Mozilla/5.0", "Electron/1", "(", ")", "a/b", "/", ";"])).map(" ".join)
)
def test_no_text_makes_it_fail(text: str) -> None:
    for name in (of_user_agent(text), of_site(text), titled(text), of_x_app(text)):
        assert name is None or len(name) <= 64
