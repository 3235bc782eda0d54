"""Which application asks, under the name that people know it by. Pure: texts of header fields in, a name out.

Sources: heads that the clients named in ``docs/topics/clients.md`` sent, and the sources and documents of the others.
``docs/topics/identity.md`` has the order in which the fields count.
"""

import re
from typing import Final
from urllib.parse import urlsplit

# The first product of User-Agent in lower case and without its version, an `X-Title`, or an `originator` -> its name.
_NAMES: Final[dict[str, str]] = {
    # that write code
    "claude-cli": "Claude Code", "claude-code": "Claude Code", "claude code": "Claude Code",
    "codex": "Codex", "opencode": "OpenCode", "cline": "Cline", "roocode": "Roo Code", "roo code": "Roo Code",
    "roo-code": "Roo Code", "kilocode": "Kilo Code", "kilo code": "Kilo Code", "kilo-code": "Kilo Code",
    "aider": "Aider", "continue": "Continue", "zed": "Zed", "zed editor": "Zed", "cursor": "Cursor",
    "goose": "Goose", "goose-cli": "Goose", "geminicli": "Gemini CLI", "geminicli-tui": "Gemini CLI",
    "gemini-cli": "Gemini CLI", "qwencode": "Qwen Code", "qwen-code": "Qwen Code", "crush": "Crush",
    "charm-crush": "Crush", "githubcopilotchat": "GitHub Copilot", "github-copilot": "GitHub Copilot",
    "copilot-chat": "GitHub Copilot", "copilot": "GitHub Copilot", "copilot-cli": "GitHub Copilot",
    "vscode": "VS Code", "code": "VS Code", "windsurf": "Windsurf", "openhands": "OpenHands", "pi": "pi",
    "pi-coding-agent": "pi", "openclaw": "OpenClaw", "void": "Void", "amp": "Amp", "droid": "Factory Droid",
    "factory-cli": "Factory Droid", "warp": "Warp", "jetbrains": "JetBrains", "junie": "Junie", "tabby": "Tabby",
    # to chat, and to build with
    "open webui": "Open WebUI", "open-webui": "Open WebUI", "openwebui": "Open WebUI", "librechat": "LibreChat",
    "lobechat": "LobeChat", "lobe chat": "LobeChat", "sillytavern": "SillyTavern", "anythingllm": "AnythingLLM",
    "jan": "Jan", "msty": "Msty", "cherry studio": "Cherry Studio", "cherrystudio": "Cherry Studio",
    "chatbox": "Chatbox", "obsidian": "Obsidian", "raycast": "Raycast", "lm-studio": "LM Studio",
    "homeassistant": "Home Assistant", "n8n": "n8n", "dify": "Dify", "flowise": "Flowise", "langflow": "Langflow",
    # libraries
    "openai/python": "OpenAI Python", "asyncopenai/python": "OpenAI Python", "azureopenai/python": "OpenAI Python",
    "asyncazureopenai/python": "OpenAI Python", "openai/js": "OpenAI JS", "azureopenai/js": "OpenAI JS",
    "openai/go": "OpenAI Go", "openai/java": "OpenAI Java", "openai/ruby": "OpenAI Ruby", "openai": "OpenAI",
    "anthropic/python": "Anthropic Python", "asyncanthropic/python": "Anthropic Python",
    "anthropicbedrock/python": "Anthropic Python", "asyncanthropicbedrock/python": "Anthropic Python",
    "anthropicvertex/python": "Anthropic Python", "asyncanthropicvertex/python": "Anthropic Python",
    "anthropic/js": "Anthropic JS", "anthropic/go": "Anthropic Go", "anthropic/java": "Anthropic Java",
    "anthropic": "Anthropic", "google-genai-sdk": "Google Gen AI SDK", "google-genai": "Google Gen AI SDK",
    "genai-py": "Google Gen AI SDK", "google-api-nodejs-client": "Google API client", "boto3": "boto3",
    "botocore": "boto3", "aws-cli": "AWS CLI", "aws-sdk-js": "AWS SDK for JavaScript",
    "aws-sdk-java": "AWS SDK for Java", "aws-sdk-go-v2": "AWS SDK for Go", "aws-sdk-rust": "AWS SDK for Rust",
    "cohere": "Cohere SDK", "mistral-client-python": "Mistral Python", "mistralai": "Mistral Python",
    "mistral-client-typescript": "Mistral JS", "groq/python": "Groq Python", "asyncgroq/python": "Groq Python",
    "groq/js": "Groq JS", "together/python": "Together Python", "ollama-python": "Ollama Python",
    "ollama-js": "Ollama JS", "ollama": "Ollama", "hf_hub": "Hugging Face Hub", "litellm": "LiteLLM",
    "langchain": "LangChain", "langchain-openai": "LangChain", "llamaindex": "LlamaIndex", "ai-sdk": "Vercel AI SDK",
    "ai": "Vercel AI SDK", "haystack": "Haystack", "pydantic-ai": "Pydantic AI", "semantic-kernel": "Semantic Kernel",
    "instructor": "Instructor", "dspy": "DSPy", "guidellm": "GuideLLM", "aiperf": "AIPerf", "genai-perf": "GenAI-Perf",
    # HTTP
    "curl": "curl", "wget": "Wget", "httpie": "HTTPie", "python-requests": "python-requests", "python-httpx": "httpx",
    "aiohttp": "aiohttp", "python-urllib": "urllib", "python-urllib3": "urllib3", "node": "Node.js",
    "node-fetch": "node-fetch", "undici": "Node.js", "axios": "axios", "bun": "Bun", "deno": "Deno",
    "go-http-client": "Go", "okhttp": "OkHttp", "java-http-client": "Java", "reqwest": "reqwest",
    "postmanruntime": "Postman", "insomnia": "Insomnia", "bruno-runtime": "Bruno", "k6": "k6",
    "apache-httpclient": "Apache HttpClient",
}  # fmt: skip
# Host of an HTTP-Referer -> the name.
_SITES: Final[dict[str, str]] = {
    "opencode.ai": "OpenCode", "cline.bot": "Cline", "roocode.com": "Roo Code", "kilocode.ai": "Kilo Code",
    "aider.chat": "Aider", "continue.dev": "Continue", "zed.dev": "Zed", "cursor.com": "Cursor",
    "block.github.io": "Goose", "openwebui.com": "Open WebUI", "librechat.ai": "LibreChat", "n8n.io": "n8n",
    "sillytavern.app": "SillyTavern", "anythingllm.com": "AnythingLLM", "useanything.com": "AnythingLLM",
    "dify.ai": "Dify", "cherry-ai.com": "Cherry Studio", "chatboxai.app": "Chatbox", "lobehub.com": "LobeChat",
    "litellm.ai": "LiteLLM", "charm.land": "Crush",
}  # fmt: skip
_X_APPS: Final = {"cli": "Claude Code", "cli-bg": "Claude Code"}  # the latter when it works in the background
_CODEX: Final = "codex"  # codex_exec, codex_cli_rs, codex_vscode, codex-tui …: each front end has its own
# What a browser is told by, the first that is there; each browser names those before it too. Others are programs that
# have one built in.
_BROWSERS: Final = (
    ("edg", "Edge"), ("opr", "Opera"), ("vivaldi", "Vivaldi"), ("firefox", "Firefox"), ("chrome", "Chrome"),
    ("safari", "Safari"),
)  # fmt: skip
_OF_EVERY_BROWSER: Final = frozenset(
    {"mozilla", "applewebkit", "gecko", "version", "mobile", "chrome", "safari", "electron", "headlesschrome"}
)
_NOBODY: Final = frozenset({"unknown", "none", "null", "-", "mozilla"})
_PRODUCT: Final = re.compile(r"([A-Za-z0-9_.!#$%&'*+^`|~-]+)(?:/([^\s;(),]*))?")
_MOST_PRODUCTS: Final = 16
_MAX_CHARS: Final = 64


def titled(text: str) -> str:
    """The name for what an application calls itself, in `X-Title` or `originator`: the text unless it is known."""
    key = text.strip().lower()
    if key.startswith(_CODEX):
        return "Codex"
    return _NAMES.get(key) or text.strip()[:_MAX_CHARS]


def of_site(url: str) -> str | None:
    """The name for an `HTTP-Referer`: the host unless it is known; none for an address of this machine."""
    try:
        host = urlsplit(url.strip()).hostname or ""
    except ValueError:
        return None
    host = host.removeprefix("www.")
    if host in {"", "localhost"} or re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*", host):
        return None
    return _SITES.get(host) or host[:_MAX_CHARS]


def of_x_app(text: str) -> str:
    """The name for `x-app`."""
    return _X_APPS.get(text.strip()) or titled(text)


def of_user_agent(text: str) -> str | None:
    """The name for a User-Agent: of its first product that says something."""
    products: list[tuple[str, str]] = _PRODUCT.findall(re.sub(r"\([^()]*\)", " ", text))[:_MOST_PRODUCTS]
    if not products:
        return None
    if products[0][0].lower() == "mozilla":
        return _of_browser([name.lower() for name, _ in products], text)
    for name, version in products:
        lower = name.lower()
        known = _NAMES.get(f"{lower}/{version.lower()}") or _NAMES.get(lower)
        if known is not None:
            return known
        if lower.startswith(_CODEX):
            return "Codex"
        if lower not in _NOBODY and lower != "python":  # Python/3.12 aiohttp/3.9: the second says more
            return name[:_MAX_CHARS]
    return "Python" if any(name.lower() == "python" for name, _ in products) else None


def _of_browser(names: list[str], text: str) -> str:
    if "electron" in names:
        own = next((name for name in names if name not in _OF_EVERY_BROWSER), None)
        if own is not None:
            at = text.lower().find(own)
            return _NAMES.get(own) or text[at : at + len(own)][:_MAX_CHARS]
    return next((shown for name, shown in _BROWSERS if name in names), "Browser")
