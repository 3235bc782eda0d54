"""Names of OpenTelemetry's GenAI conventions, in one table. Pure.

They are those of version 0.1.0, the first of a repository of their own; their status is Development, so they may
change. A test compares them with that version's lists.
"""

from typing import Final, NamedTuple

CONVENTIONS_VERSION: Final = "0.1.0"
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/gen-ai/{CONVENTIONS_VERSION}"

# Attributes of spans, and those of metrics among them.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 -- a kind of tokens, not a secret
UNKNOWN_MODALITY: Final = "unknown"  # servers rarely say, and records do not have it
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

# Columns of a record that are an attribute as they are.
PLAIN_ATTRIBUTES: Final[dict[str, str]] = {
    "model": REQUEST_MODEL,
    "response_model": RESPONSE_MODEL,
    "session_id": "gen_ai.conversation.id",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "response_id": "gen_ai.response.id",
    "status_code": "http.response.status_code",
    "method": "http.request.method",
    "endpoint": "url.path",
}
# The same of token counts, each with its counter; none of them where another record counts the same tokens.
USAGE_ATTRIBUTES: Final[dict[str, str]] = {
    "prompt_tokens": "gen_ai.usage.input_tokens",  # cached ones included
    "completion_tokens": "gen_ai.usage.output_tokens",  # reasoning included
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
STREAM: Final = "gen_ai.request.stream"  # only where it is true
CHOICE_COUNT: Final = "gen_ai.request.choice.count"  # only where it is not 1
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
NO_FINISH_REASON: Final = "error"  # where one was due and none came
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds
SERVICE_TIER: Final = "openai.response.service_tier"  # only of that provider
# Ours, where the conventions have no word. (Their ``gen_ai.agent.id`` is of agents that a provider hosts.)
OWN_ATTRIBUTES: Final[dict[str, str]] = {
    "request_id": "llm_proxy.request_id",
    "outcome": "llm_proxy.outcome",
    "backend_name": "llm_proxy.backend_name",
    "origin": "llm_proxy.origin",
    "tags": "llm_proxy.tags",
    "app": "llm_proxy.app",
    "agent_id": "llm_proxy.agent_id",
    "parent_agent_id": "llm_proxy.parent_agent_id",
    "proxy_overhead_ms": "llm_proxy.overhead_ms",
}
COST: Final = "llm_proxy.cost_usd"
ERROR_MESSAGE: Final = "llm_proxy.error_message"  # of log records only

# Events: a log record for each request.
DETAILS_EVENT: Final = "gen_ai.client.inference.operation.details"
OWN_EVENT: Final = "llm_proxy.request"  # of requests that are no inference

# What the conventions call inference; their other operations that occur here are ``embeddings`` and the next one.
INFERENCE: Final = frozenset({"chat", "generate_content", "text_completion"})
EMBEDDINGS: Final = "embeddings"
FETCHES: Final = "fetch_response"
RENAMED_OPERATIONS: Final = {"fetch": FETCHES}


class Instrument(NamedTuple):
    """An instrument of the conventions, with their advice for its bounds; none: a counter."""

    name: str
    unit: str
    meaning: str
    bounds: tuple[float, ...] = ()


_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))  # 0.01 to 81.92
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_BETWEEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS: Final = tuple(4.0**power for power in range(14))  # 1 to 67,108,864
_CLIENT: Final = "gen_ai.client"
_INFERENCE: Final = "gen_ai.client.inference"
_SERVER: Final = "gen_ai.server"

DURATION: Final = Instrument(f"{_INFERENCE}.duration", "s", "How long an inference took.", _SECONDS)
EMBEDDINGS_DURATION: Final = Instrument(
    f"{_CLIENT}.embeddings.duration", "s", "How long a request for embeddings took.", _SECONDS
)
OTHER_DURATION: Final = Instrument(
    f"{_CLIENT}.operation.duration", "s", "How long any other request to a model took.", _SECONDS
)
FIRST_CHUNK: Final = Instrument(
    f"{_INFERENCE}.time_to_first_chunk", "s", "Until the first token of a stream.", _SECONDS
)
PER_CHUNK: Final = Instrument(
    f"{_INFERENCE}.time_per_output_chunk", "s", "Mean time between a stream's parts with content.", _SECONDS
)
INPUT_TOKENS: Final = Instrument(f"{_INFERENCE}.operation.input_tokens", "{token}", "Input of an inference.", _TOKENS)
OUTPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.operation.output_tokens", "{token}", "Output of an inference.", _TOKENS
)
EMBEDDINGS_TOKENS: Final = Instrument(
    f"{_CLIENT}.embeddings.operation.input_tokens", "{token}", "Input of a request for embeddings.", _TOKENS
)
# By the column that they count.
USAGE: Final[dict[str, Instrument]] = {
    column: Instrument(attribute.replace("gen_ai.usage", f"{_INFERENCE}.usage"), "{token}", meaning)
    for (column, attribute), meaning in zip(
        USAGE_ATTRIBUTES.items(),
        (
            "Input tokens, cached ones included.",
            "Output tokens, reasoning included.",
            "Input tokens read from a cache.",
            "Input tokens written to a cache.",
            "Output tokens spent on reasoning.",
        ),
        strict=True,
    )
}
# The server behind the proxy, as the proxy sees it.
SERVER_DURATION: Final = Instrument(
    f"{_SERVER}.request.duration", "s", "From the sent request to the last token or byte.", _SECONDS
)
SERVER_FIRST_TOKEN: Final = Instrument(
    f"{_SERVER}.time_to_first_token", "s", "From the sent request to the first token; successful streams.", _FIRST
)
SERVER_PER_TOKEN: Final = Instrument(
    f"{_SERVER}.time_per_output_token", "s", "Between the tokens after the first; successful streams.", _BETWEEN
)
INSTRUMENTS: Final = (
    DURATION, EMBEDDINGS_DURATION, OTHER_DURATION, FIRST_CHUNK, PER_CHUNK, INPUT_TOKENS, OUTPUT_TOKENS,
    EMBEDDINGS_TOKENS, *USAGE.values(), SERVER_DURATION, SERVER_FIRST_TOKEN, SERVER_PER_TOKEN,
)  # fmt: skip

# Ends of host names → provider, in the conventions' words.
PROVIDERS_BY_HOST: Final = (
    (".openai.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".amazonaws.com", "aws.bedrock"),
    (".api.aws", "aws.bedrock"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.perplexity.ai", "perplexity"),
    ("openrouter.ai", "openrouter"),
)
