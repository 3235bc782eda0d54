"""Names of OpenTelemetry's GenAI conventions (status: Development, so they may change), in one table. Pure.

A test compares them with the constants of the installed opentelemetry-semantic-conventions.
"""

from typing import Final, NamedTuple

# Attributes of spans, and those of metrics among them.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 -- a kind of tokens, not a secret
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

# Columns of a record that are an attribute as they are.
PLAIN_ATTRIBUTES: Final[dict[str, str]] = {
    "model": REQUEST_MODEL,
    "response_model": RESPONSE_MODEL,
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "choice_count": "gen_ai.request.choice.count",
    "response_id": "gen_ai.response.id",
    "prompt_tokens": "gen_ai.usage.input_tokens",  # cached ones included
    "completion_tokens": "gen_ai.usage.output_tokens",  # reasoning included
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "status_code": "http.response.status_code",
    "method": "http.request.method",
    "endpoint": "url.path",
}
STREAM: Final = "gen_ai.request.stream"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds
# Ours, where the conventions have no word.
OWN_ATTRIBUTES: Final[dict[str, str]] = {
    "request_id": "llm_proxy.request_id",
    "outcome": "llm_proxy.outcome",
    "backend_name": "llm_proxy.backend_name",
    "origin": "llm_proxy.origin",
    "proxy_overhead_ms": "llm_proxy.overhead_ms",
}
COST: Final = "llm_proxy.cost_usd"


class HistogramName(NamedTuple):
    """A histogram of the conventions, with their advice for its bounds."""

    name: str
    unit: str
    meaning: str
    bounds: tuple[float, ...]


_SECONDS: Final = tuple(0.01 * 2**power for power in range(14))  # 0.01 to 81.92
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_BETWEEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

TOKEN_USAGE: Final = HistogramName(
    "gen_ai.client.token.usage", "{token}", "Tokens of a request, by kind.", tuple(4.0**power for power in range(14))
)
DURATION: Final = HistogramName("gen_ai.client.operation.duration", "s", "How long a request took.", _SECONDS)
FIRST_CHUNK: Final = HistogramName(
    "gen_ai.client.operation.time_to_first_chunk", "s", "Until the first token of a stream.", _FIRST
)
PER_CHUNK: Final = HistogramName(
    "gen_ai.client.operation.time_per_output_chunk", "s", "Mean time between a stream's parts with content.", _BETWEEN
)
HISTOGRAMS: Final = (TOKEN_USAGE, DURATION, FIRST_CHUNK, PER_CHUNK)

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
    ("api.mistral.ai", "mistral_ai"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "x_ai"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.perplexity.ai", "perplexity"),
    ("openrouter.ai", "openrouter"),
)
