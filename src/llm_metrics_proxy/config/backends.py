"""Several LLM servers: the tables ``[[backends]]`` of the configuration file, and what is checked about them."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from llm_metrics_proxy.config.types import Certificates, Glob, HostHeader, Name, Seconds, Url, UrlPath, Whole, setting

_key: Final = partial(setting, group="Backends")
MAX_BACKENDS: Final = 32  # as many as the scoreboard has room for
_DAY_S: Final = 86_400
_URL: Final = "an http:// or https:// URL without user, password, query or fragment"

# First segments of paths that LLM servers have: a backend of that name would hide them. `openai` is one too (Azure's
# and Groq's paths begin so), and so are `embed`, `model` or `tts`, but these are names that people give: there the name
# counts.
RESERVED: Final = frozenset({
    "health", "ready", "v1", "v1beta", "v2", "api", "chat", "completions", "completion", "embeddings", "embedding",
    "responses", "messages", "moderations", "images", "audio", "rerank", "reranking", "score", "classify", "pooling",
    "tokenize", "detokenize", "models", "files", "batches", "infill", "apply-template", "generate",
    "generate_stream", "encode", "version", "ping", "props", "info", "slots", "metrics", "realtime",
    "anthropic", "chat_tokenize", "embed_all", "embed_sparse", "get_model_info", "model_info",
    "contextualizedembeddings", "multimodalembeddings",
    "v1alpha", "v1beta1", "ws", "backend-api",
})  # fmt: skip
# Fields that frame or route a message: this proxy's own business.
_OURS: Final = frozenset({
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive",
    "proxy-connection", "expect", "content-type", "content-encoding", "accept-encoding", "via", "x-forwarded-for",
    "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-llm-metrics-tag",
})  # fmt: skip
_FIELD_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_KEY: Final = re.compile(r"[\x21-\x7e]+")


def _name(value: object) -> object:
    if isinstance(value, str) and value in RESERVED:
        raise ValueError("LLM servers have paths that begin so")
    return value


def _fields(value: object) -> object:
    for name, text in value.items() if isinstance(value, dict) else ():
        if not _FIELD_NAME.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} cannot be added as a header")
        if isinstance(text, str) and not _FIELD_VALUE.fullmatch(text):
            raise ValueError(f"the value of {name} is not printable ASCII")
    return value


def _limit_of_its_own() -> Any:
    return _key(None, "Overrides the setting of this name.", ge=0.1, le=_DAY_S, shown_default="the setting")


class BackendTable(BaseModel):
    """One table. The fields are documented like settings; ``table.markdown`` lists them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[Name, BeforeValidator(_name)] = _key(
        ...,
        "Its name in records, metrics and the path prefix `/name/…`.",
        allowed="up to 63 of a-z, 0-9, dot, dash and underscore, and not the beginning of an LLM server's path",
    )
    url: Url = _key(..., "Its base URL; a trailing `/v1` is dropped.", allowed=_URL)
    dialect: Literal["openai", "anthropic", "ollama", "gemini", "bedrock", "cohere"] | None = _key(
        None,
        "The API it offers; if not set, it gets requests of every API. `ollama` includes OpenAI's paths, `bedrock` "
        "OpenAI's and Anthropic's. `gemini` is Google's: the Gemini API and Vertex AI.",
        shown_default="every one",
    )
    models: list[Glob] = _key(
        [],
        "The models it serves: `*` any characters, `?` one, `[ab]` one of these. If not set, it serves all that no "
        "other backend lists.",
        allowed='a list of patterns, such as ["llama3*", "qwen2.5:7b"], each [ with its ]',
        shown_default="what no other lists",
    )
    weight: Whole = _key(1, "Its share among the backends that serve the same model.", ge=1, le=1000)
    api_key_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", strict=True)] | None = _key(
        None,
        "Environment variable that holds its key. The key replaces the client's: `Authorization: Bearer …`, or "
        "`x-api-key` if the dialect is `anthropic`, `x-goog-api-key` if it is `gemini`.",
        allowed="the name of an environment variable that is set",
        shown_default="the client's key is passed on",
    )
    add_headers: Annotated[dict[str, str], BeforeValidator(_fields)] = _key(
        {},
        "Headers added to every request to it; they replace the client's of the same names.",
        allowed='header names and values, such as {"X-Team" = "red"}; not those that frame or route a message',
        shown_default="none",
    )
    connect_timeout_s: Seconds | None = _limit_of_its_own()
    first_byte_timeout_s: Seconds | None = _limit_of_its_own()
    idle_timeout_s: Seconds | None = _limit_of_its_own()
    ca_file: Certificates | None = _key(
        None,
        "CA certificates (PEM) to verify it, in place of `upstream_ca_file`.",
        allowed="a file with certificates in PEM that can be read",
        shown_default="upstream_ca_file",
    )
    tls_server_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")] | None = _key(
        None,
        "Name that its certificate must have, and that TLS sends (SNI), if the URL has another.",
        allowed="a host name",
        shown_default="the URL's host",
    )
    host_header: HostHeader | None = _key(
        None,
        "Header Host for it, in place of `upstream_host_header`. TLS does not use it; see `tls_server_name`.",
        allowed="a host name or an IP address, perhaps with a port",
        shown_default="upstream_host_header",
    )
    tls_verify: bool | None = _key(
        None,
        "`false` accepts any certificate, with a warning at every start.",
        shown_default="upstream_tls_verify",
    )
    server_metrics: bool | None = _key(
        None,
        "Whether it is asked for numbers of its own, wherever it is.",
        shown_default="as the setting `server_metrics` says",
    )
    metrics_url: Url | None = _key(
        None,
        "Where its Prometheus page is, if not at `/metrics` below its URL; Triton's is at port 8002. Its key and "
        "headers are sent there, too.",
        allowed=_URL,
        shown_default="its URL and /metrics",
    )
    probe_path: UrlPath | None = _key(
        None, "Overrides the setting of this name.", allowed="a path that begins with /", shown_default="the setting"
    )


BackendTables = list[BackendTable]


def keys_of(backends: Sequence[BackendTable], environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Each backend's key by its name, and a line for every variable that has none that a header could carry."""
    keys, problems = {}, []
    for index, backend in enumerate(backends):
        variable = backend.api_key_env
        if variable is None:
            continue
        value = environment.get(variable, "").strip()
        what = f"backends[{index}].api_key_env = {variable!r} (backend {backend.name})"
        if not value:
            problems.append(f"{what}: there is no such variable in the environment, or it is empty: set it")
        elif not _KEY.fullmatch(value):
            problems.append(f"{what}: the variable's value is not a key: it has spaces or other than printable ASCII")
        else:
            keys[backend.name] = value
    return keys, problems
