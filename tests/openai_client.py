"""OpenAI's client as the stories with real servers use it: one call, and what came back to the byte."""

import re
from typing import Any, Final, NamedTuple

import openai

# What servers vary from call to call, and nothing else: ids, and the second in which the answer was made.
_VARYING: Final = (
    (rb'"id": ?"(chatcmpl|cmpl)-[0-9a-f-]{36}"', b'"id":"*"'),
    (rb'"created": ?\d{10}', b'"created":*'),
)


class Story(NamedTuple):
    """A call of the client's method ``api`` and what the record must hold."""

    name: str
    api: str
    call: dict[str, Any]
    record: dict[str, Any]


def same(body: bytes) -> bytes:
    for pattern, replacement in _VARYING:
        body = re.sub(pattern, replacement, body)
    return body


class Answer(NamedTuple):
    """What the client got; ``wire_bytes`` counts the body as it came, ``body`` is decoded if it was compressed."""

    status: int
    fields: set[str]
    body: bytes
    wire_bytes: int


def ask(client: openai.OpenAI, story: Story) -> Answer:
    resource: Any = client
    for part in story.api.split("."):
        resource = getattr(resource, part)
    try:
        with resource.with_streaming_response.create(
            **story.call, extra_headers={"x-llm-metrics-origin": story.name}
        ) as response:
            body, http = response.read(), response.http_response
    except openai.APIStatusError as error:
        body, http = error.response.content, error.response
    return Answer(http.status_code, set(http.headers), body, http.num_bytes_downloaded)


def assert_times_are_in_order(record: dict[str, Any], names: tuple[str, ...]) -> None:
    times = [record[name] for name in names]
    assert None not in times, dict(zip(names, times, strict=True))
    assert times == sorted(times), dict(zip(names, times, strict=True))
