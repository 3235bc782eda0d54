"""A receiver that runs, and requests as they are stored."""

from collections.abc import Iterator
from typing import Any

import pytest

from llm_metrics_proxy.record import RequestRecord
from tests.journal_parts import an_ended_record
from tests.telemetry.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().running() as running:
        yield running


def a_stream(index: int = 0xABC, **facts: Any) -> RequestRecord:
    """A stream of OpenAI's chat, completed."""
    values = {
        "dialect": "openai_chat",
        "backend": "api.openai.com:443",
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "is_streaming": True,
        "status_code": 200,
        "finish_reason": "stop",
        "prompt_tokens": 11,
        "completion_tokens": 101,
        "cached_tokens": 5,
        "time_to_first_token_ms": 250.0,
        "time_to_last_token_ms": 1250.0,
        "content_chunks": 51,
    }
    return an_ended_record(index, **{**values, **facts})
