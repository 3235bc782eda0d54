"""The table of endpoints: every path that this program knows, one row each. Nothing else names a path.

The rows of an API whose bodies are read stand at the end of its file in ``apis`` and are listed here; those of other
requests that may pass stand here.

``policy`` forwards what the rows let pass, ``choice`` routes by their family, the data plane reads with their readers,
telemetry and pricing take names from them.

``path_patterns`` says how paths are written. What is read and what passes are two questions. Nothing passes below a
prefix that ``PREFIXES`` does not name; an operator who lets ``/gateway/**`` pass has its ``/gateway/v1/messages`` read
like ``/v1/messages``.
"""

import re
from typing import Final
from urllib.parse import unquote

from llm_metrics_proxy.wire.apis import (
    anthropic,
    anthropic_batches,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    cohere_v1,
    gemini,
    gemini_interactions,
    generate,
    google_others,
    koboldcpp,
    llama_native,
    lmstudio,
    mistral,
    ollama,
    openai_body,
    openai_objects,
    openai_realtime,
    openai_responses,
    openai_responses_session,
    openai_stream,
    other_operations,
    tei,
)
from llm_metrics_proxy.wire.dialects import Dialect, Endpoint, Family
from llm_metrics_proxy.wire.facts import cut
from llm_metrics_proxy.wire.path_patterns import EndpointFinder

MODELS_PATH: Final = "/v1/models"

# Where servers offer their operations.
PREFIXES: Final = (
    "/v1",
    "/openai/v1",  # Azure, Groq
    "/api/v1",  # OpenRouter
    "/anthropic/v1",  # DeepSeek, Moonshot, MiniMax, Azure, and LiteLLM's pass-through
    "/api/anthropic/v1",  # Z.ai
    "/v1beta/openai",  # Gemini
    "/api/v0",  # LM Studio
    "/engines/v1",  # Docker Model Runner
    "/engines/llama.cpp/v1",
    "/engines/vllm/v1",
    "/backend-api/codex",  # where Codex asks when it is signed in to ChatGPT
    "/openai/deployments/*",  # Azure
    "",  # llama.cpp offers its operations without a prefix too
)
# Methods that pass with the one of a row.
PASSING_WITH: Final = {
    "GET": frozenset({"GET", "HEAD", "OPTIONS"}),
    "POST": frozenset({"POST", "OPTIONS"}),
    "DELETE": frozenset({"DELETE", "OPTIONS"}),
}

DIALECTS: Final[tuple[Dialect, ...]] = (
    *openai_stream.DIALECTS,
    *openai_body.DIALECTS,
    *openai_responses.DIALECTS,
    *openai_responses_session.DIALECTS,
    *openai_realtime.DIALECTS,
    *openai_objects.DIALECTS,
    *anthropic.DIALECTS,
    *anthropic_batches.DIALECTS,
    *llama_native.DIALECTS,
    *lmstudio.DIALECTS,
    *generate.DIALECTS,
    *tei.DIALECTS,
    *koboldcpp.DIALECTS,
    *mistral.DIALECTS,
    *ollama.DIALECTS,
    *gemini.DIALECTS,
    *gemini_interactions.DIALECTS,
    *google_others.DIALECTS,
    *other_operations.DIALECTS,
    *bedrock_converse.DIALECTS,
    *bedrock_invoke.DIALECTS,
    *cohere.DIALECTS,
    *cohere_v1.DIALECTS,
)

# Ollama's pull, push, create, copy, delete and blobs are absent on purpose, and so are vLLM's LoRA, sleep and cache
# controls, llama.cpp's slots and LM Studio's model loading.
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *DIALECTS,
    google_others.LATER,
    google_others.LIVE,
    *gemini_interactions.KEPT,
    *openai_objects.ENDPOINTS,
    Endpoint(paths=("tokenize", "detokenize"), family=Family.SHARED),  # vLLM, llama.cpp, SGLang, TEI, Cohere
    Endpoint(paths=("/embedding", "/apply-template", "chat/completions/control", "chat/completions/input_tokens")),
    Endpoint(paths=("/decode", "/chat_tokenize")),  # TEI, TGI
    Endpoint(paths=("/get_model_info", "/model_info"), method="GET"),  # SGLang
    Endpoint(paths=("/api/extra/generate/check", "/api/extra/tokencount", "/api/extra/detokenize")),  # KoboldCpp
    Endpoint(
        paths=(
            "/api/v1/model",
            "/api/v1/info/version",
            "/api/v1/config/*",
            "/api/extra/version",
            "/api/extra/perf",
            "/api/extra/true_max_context_length",
            "/api/extra/generate/check",
        ),
        method="GET",
    ),
    # text-generation-webui; its loading of models and LoRAs is absent.
    Endpoint(paths=("/v1/internal/encode", "/v1/internal/decode", "/v1/internal/token-count", "/v1/internal/logits")),
    Endpoint(paths=("/v1/internal/model/info", "/v1/internal/model/list"), method="GET"),
    Endpoint(paths=("/vad",)),  # LocalAI
    Endpoint(paths=("/search",)),  # Perplexity
    Endpoint(paths=("/api/web_search", "/api/web_fetch"), family=Family.OLLAMA),
    Endpoint(paths=("messages/batches/{id}/cancel",), family=Family.ANTHROPIC),
    Endpoint(paths=("messages/batches", "messages/batches/{id}"), method="GET", family=Family.ANTHROPIC),
    Endpoint(paths=("/api/show",), family=Family.OLLAMA),
    Endpoint(paths=("/api/tags", "/api/ps", "/api/version"), method="GET", family=Family.OLLAMA),
    Endpoint(paths=("/version", "/ping", "/props", "/info"), method="GET"),
    Endpoint(paths=("/", "**/models", "**/models/**"), method="GET", family=None),
    google_others.LISTS,
    # Routed as Anthropic's, but not read: OpenAI's threads have messages too.
    Endpoint(
        paths=("**/messages", "**/messages/batches", "**/messages/batches/**"), family=Family.ANTHROPIC, passes=False
    ),
)

# Azure's deployment; Bedrock's model, profile or ARN; Triton's model.
_MODEL: Final = re.compile(
    r"(?:/.*?)?/openai/deployments/([^/]+)(?:/.*)?"
    r"|/model/(.+)/(?:converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)/?"
    r"|/v2/models/([^/]+)(?:/versions/[^/]+)?/generate(?:_stream)?/?"
)
_BATCH_RESULTS: Final = re.compile(r".*/messages/batches/([^/]+)/results/?")
_MODELS: Final = re.compile(r".*/models(?:/(?P<model>.+))?")

find: Final = EndpointFinder(ENDPOINTS, PREFIXES)


def dialect_for(method: str, path: str) -> Dialect | None:
    """The dialect of a request; ``path`` is raw and without its query. A trailing slash makes no difference."""
    row = find(path.removesuffix("/") or path, method)
    return row if isinstance(row, Dialect) and "//" not in path else None


def family_of(path: str) -> Family | None:
    """The API that a path belongs to; OpenAI's for unknown paths, ``None`` for what every API has."""
    row = find(path.rstrip("/") or "/")
    return Family.OPENAI if row is None else row.family


def model_in_path(path: str) -> str | None:
    """The model that a raw path names where the body need not: Azure, Bedrock, Google, Triton; None elsewhere."""
    match = _MODEL.fullmatch(path) or google_others.MODEL.fullmatch(path)
    return None if match is None else cut(unquote(match[match.lastindex or 0]))


def answer_in_path(path: str) -> str | None:
    """The id of the answer that a raw path asks for, where the answer does not repeat it: Anthropic's batch."""
    match = _BATCH_RESULTS.fullmatch(path)
    return None if match is None else cut(match[1])


def listed_model(path: str) -> str | None:
    """The model in ``/v1/models/{model}``, whose name may hold slashes."""
    match = _MODELS.fullmatch(path)
    return None if match is None or not match["model"] else unquote(match["model"])
