"""Text Embeddings Inference's own operations. It counts tokens in the head of its answers (``head_counts``), so that
their bodies, arrays of numbers, need not be read.

Source: Text Embeddings Inference, API reference and ``router/src/http/server.rs``.
"""

from typing import Final

import msgspec

from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.dialects import Dialect
from llm_metrics_proxy.wire.head_counts import head_tokens
from llm_metrics_proxy.wire.requests import ModelRequest, count_prompts
from llm_metrics_proxy.wire.tolerant import MISSING


class TeiRequest(ModelRequest):
    """One text or a list of them."""

    inputs: msgspec.Raw = MISSING

    def facts(self) -> RequestFacts:
        return self._facts(is_streaming=False, message_count=count_prompts(self.inputs))


TEI_EMBED: Final = Dialect(
    name="tei_embed",
    operation="embeddings",
    paths=("/embed", "/embed_all", "/embed_sparse", "/similarity"),
    provider=None,
    read_request=TeiRequest.read,
    has_output=False,
    tokens=head_tokens,
    counts_in_head=True,
)
TEI_PREDICT: Final = msgspec.structs.replace(
    TEI_EMBED, name="tei_predict", operation="classification", paths=("/predict",)
)
DIALECTS: Final = (TEI_EMBED, TEI_PREDICT)
