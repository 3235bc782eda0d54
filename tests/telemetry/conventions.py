"""What version 0.1.0 of the GenAI conventions lists, as far as a proxy can know it.

Copied by hand from the pages ``client-inference``, ``client-embeddings``, ``gen-ai-metrics`` and ``openai`` of the
repository open-telemetry/semantic-conventions-genai: names alone, which no package has yet.
"""

from typing import Final

VERSION: Final = "0.1.0"
# fmt: off
# Of the span ``gen_ai.client.inference`` and of the event ``gen_ai.client.inference.operation.details``.
INFERENCE_ATTRIBUTES: Final = frozenset({
    "gen_ai.operation.name", "gen_ai.provider.name", "error.type", "gen_ai.conversation.id",
    "gen_ai.conversation.compacted", "gen_ai.output.type", "gen_ai.prompt.name", "gen_ai.prompt.version",
    "gen_ai.request.choice.count", "gen_ai.request.model", "gen_ai.request.seed", "gen_ai.request.stream",
    "gen_ai.request.top_k", "gen_ai.request.frequency_penalty", "gen_ai.request.max_tokens",
    "gen_ai.request.presence_penalty", "gen_ai.request.previous_response.id", "gen_ai.request.reasoning.level",
    "gen_ai.request.stop_sequences", "gen_ai.request.temperature", "gen_ai.request.top_p",
    "gen_ai.response.finish_reasons", "gen_ai.response.id", "gen_ai.response.model",
    "gen_ai.response.time_to_first_chunk", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens", "server.address", "server.port", "openai.response.service_tier",
})
EVENTS: Final = frozenset({"gen_ai.client.inference.operation.details"})
OPERATIONS: Final = frozenset({"chat", "generate_content", "text_completion", "embeddings", "fetch_response"})
PROVIDERS: Final = frozenset({
    "anthropic", "aws.bedrock", "azure.ai.inference", "azure.ai.openai", "cohere", "deepseek", "gcp.gemini",
    "gcp.gen_ai", "gcp.vertex_ai", "groq", "ibm.watsonx.ai", "mistral_ai", "moonshot_ai", "openai", "perplexity",
    "x_ai",
})
# Metric → instrument, unit, whether it has ``error.type``.
METRICS: Final[dict[str, tuple[str, str, bool]]] = {
    "gen_ai.client.inference.duration": ("histogram", "s", True),
    "gen_ai.client.inference.time_to_first_chunk": ("histogram", "s", False),
    "gen_ai.client.inference.time_per_output_chunk": ("histogram", "s", False),
    "gen_ai.client.inference.usage.input_tokens": ("counter", "{token}", False),
    "gen_ai.client.inference.usage.output_tokens": ("counter", "{token}", False),
    "gen_ai.client.inference.usage.cache_read.input_tokens": ("counter", "{token}", False),
    "gen_ai.client.inference.usage.cache_write.input_tokens": ("counter", "{token}", False),
    "gen_ai.client.inference.usage.reasoning.output_tokens": ("counter", "{token}", False),
    "gen_ai.client.inference.operation.input_tokens": ("histogram", "{token}", True),
    "gen_ai.client.inference.operation.output_tokens": ("histogram", "{token}", True),
    "gen_ai.client.embeddings.duration": ("histogram", "s", True),
    "gen_ai.client.embeddings.operation.input_tokens": ("histogram", "{token}", True),
    "gen_ai.client.operation.duration": ("histogram", "s", True),
    "gen_ai.server.request.duration": ("histogram", "s", True),
    "gen_ai.server.time_to_first_token": ("histogram", "s", False),
    "gen_ai.server.time_per_output_token": ("histogram", "s", False),
}
METRIC_ATTRIBUTES: Final = frozenset({
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
    "server.address", "server.port",
})
