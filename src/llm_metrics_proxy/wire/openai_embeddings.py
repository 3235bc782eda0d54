"""OpenAI embeddings: what the request asks for. The answer is one JSON body, read by ``json_body``.

Source: OpenAI's API reference, "Create embeddings".
"""

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.facts import cut
from llm_metrics_proxy.wire.openai_completions import count_prompts
from llm_metrics_proxy.wire.tolerant import decode

_MISSING = msgspec.Raw()


class _EmbeddingsRequest(msgspec.Struct):
    model: str | None = None
    user: str | None = None
    input: msgspec.Raw = _MISSING


def read_request(body: bytes) -> RequestFacts:
    """The facts of a request's body; of one that is not a JSON object, none."""
    request = decode(_EmbeddingsRequest, body)
    if request is None:
        return RequestFacts()
    return RequestFacts(model=cut(request.model), user=cut(request.user), message_count=count_prompts(request.input))
