"""Text Embeddings Inference's own operations."""

import pytest

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.wire.apis.tei import TEI_EMBED, TEI_PREDICT
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.dialects import Dialect
from tests.wire.streams import compact


@pytest.mark.parametrize(
    ("path", "dialect"),
    [("/embed", TEI_EMBED), ("/embed_all", TEI_EMBED), ("/embed_sparse", TEI_EMBED), ("/similarity", TEI_EMBED),
     ("/predict", TEI_PREDICT)],
)  # fmt: skip
def test_its_paths_pass_and_are_counted_in_the_head(path: str, dialect: Dialect) -> None:
    route = PathPolicy().route(b"POST", path.encode())
    assert route.allowed
    assert route.dialect is dialect
    assert dialect.counts_in_head
    assert not dialect.has_output


@pytest.mark.parametrize("path", ["/tokenize", "/decode", "/rerank"])
def test_what_else_it_has_passes(path: str) -> None:
    assert PathPolicy().route(b"POST", path.encode()).allowed


@pytest.mark.parametrize(("inputs", "count"), [("x", 1), (["a", "b"], 2), ([["a", "b"]], 1), (None, None)])
def test_requests_are_read(inputs: object, count: int | None) -> None:
    assert TEI_EMBED.read_request(compact({"inputs": inputs})) == RequestFacts(message_count=count)
