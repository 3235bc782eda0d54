"""Streams of other servers, event by event: an event of a known form says what it would say if it were read."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.wire.apis.anthropic_batches import BatchResultsReader
from llm_metrics_proxy.wire.apis.bedrock_converse import ConverseStreamReader
from llm_metrics_proxy.wire.apis.bedrock_invoke import InvokeStreamReader
from llm_metrics_proxy.wire.apis.cohere import CohereStreamReader
from llm_metrics_proxy.wire.apis.cohere_v1 import CohereV1StreamReader
from llm_metrics_proxy.wire.apis.generate import GenerateStreamReader
from llm_metrics_proxy.wire.apis.koboldcpp import KoboldStreamReader
from llm_metrics_proxy.wire.apis.lmstudio import LmStudioStreamReader
from llm_metrics_proxy.wire.apis.mistral import ConversationStreamReader
from llm_metrics_proxy.wire.event_reader import EventReader
from tests.wire import bedrock_streams
from tests.wire.apis import test_anthropic_batches, test_generate, test_koboldcpp, test_lmstudio, test_mistral
from tests.wire.counted import counted
from tests.wire.cuts import CALM
from tests.wire.streams import compact, named

WORDS = ("a", "b c", 'a "quote"', "schön", "", "[DONE]", "}", "line\nbreak")
NOISE = [b": keep-alive\n\n", b"data: [DONE]\n\n", b"\xff\n", b"\n\n", b'event: error\ndata: {"error":"x"}\n\n']
STREAMS: dict[str, tuple[Callable[[], EventReader], list[bytes]]] = {
    "lmstudio": (
        LmStudioStreamReader,
        [*test_lmstudio.STREAM, *(named("message.delta", content=word) for word in WORDS),
         *(named("reasoning.delta", content=word) for word in WORDS)],
    ),
    "koboldcpp": (KoboldStreamReader, [*test_koboldcpp.STREAM, *map(test_koboldcpp.event, WORDS)]),
    "conversation": (ConversationStreamReader, [*test_mistral.STREAM, *map(test_mistral.message, WORDS)]),
    "generate": (
        GenerateStreamReader,
        [*test_generate.SGLANG, *test_generate.TGI,
         *(test_generate.event(text=word, meta_info=test_generate.meta(len(word))) for word in WORDS)],
    ),
    "anthropic-batch": (BatchResultsReader, test_anthropic_batches.RESULTS),
    "cohere": (
        CohereStreamReader,
        [*bedrock_streams.COHERE,
         *(bedrock_streams.told("content-delta", content={"text": word}) for word in WORDS),
         *(bedrock_streams.told("content-delta", content={"thinking": word}) for word in WORDS),
         *(bedrock_streams.told("tool-plan-delta", tool_plan=word) for word in WORDS)],
    ),
    "cohere-v1": (
        CohereV1StreamReader,
        [*bedrock_streams.COHERE_V1,
         *(compact({"event_type": "text-generation", "text": word}) + b"\n" for word in WORDS)],
    ),
    "bedrock-converse": (
        ConverseStreamReader,
        [*bedrock_streams.CONVERSE, *(bedrock_streams.delta(0, text=word) for word in WORDS)],
    ),
    "bedrock-invoke": (
        InvokeStreamReader,
        [*bedrock_streams.INVOKED_CLAUDE,
         *(event for events, _ in bedrock_streams.INVOKED.values() for event in events)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@given(st.data())
@CALM
def test_reading_event_by_event_says_the_same_as_reading_in_one_piece(name: str, data: st.DataObject) -> None:
    """One piece never has a known form, so it is always framed and decoded."""
    make, events = STREAMS[name]
    pieces = data.draw(st.lists(st.sampled_from(events + NOISE), max_size=12))
    one, many = make(), make()
    seen_in_one, seen_in_many = one.feed(b"".join(pieces)), 0
    for piece in pieces:
        seen_in_many |= many.feed(piece)
    assert seen_in_many == seen_in_one
    assert counted(many) == counted(one)
