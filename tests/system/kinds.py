"""The requests that the load is made of, and what each one's record must say.

The model's name tells the fake server what to do, and the test what to expect. ``Kind`` is the only table: the load
picks from it, the fake server answers by it, the oracle judges by it.
"""

import json
from typing import Any, Final, NamedTuple

from tests.upstream import (
    CHUNKED,
    EVENT_STREAM,
    Close,
    Pause,
    Request,
    Script,
    Send,
    chat_completion,
    chat_events,
    chunk,
    compressed,
    error_response,
    head,
    json_response,
    response,
    stream_script,
)  # fmt: skip

_PAD: Final = "\N{SNAIL}" * 245  # four bytes each in UTF-8; the columns are cut to characters
_WORDS: Final = [f"word{index} " for index in range(12)]


class Kind(NamedTuple):
    """One sort of request. ``ends``: the client of an undisturbed proxy sees the end of the answer."""

    script: Script
    outcome: str = "completed"
    error_type: str | None = None
    total_tokens: int | None = 15
    status_code: int = 200
    ends: bool = True
    streamed: bool = False
    fat: bool = False

    @property
    def expected(self) -> dict[str, Any]:
        """Columns of the record that an undisturbed proxy leaves."""
        return {
            "outcome": self.outcome,
            "success": int(self.outcome == "completed"),
            "error_type": self.error_type,
            "status_code": self.status_code,
            "total_tokens": self.total_tokens,
        }


def _zipped() -> bytes:
    return compressed(json.dumps(chat_completion("zipped " * 50, model="zipped")).encode(), "gzip")


def _broken_off(model: str, events: int) -> Script:
    """So many events of a stream, then the connection is closed."""
    begun = b"".join(map(chunk, chat_events(_WORDS, model=model)[:events]))
    return [Send(head(200, EVENT_STREAM, CHUNKED) + begun), Pause(0.03), Close()]


KINDS: Final[dict[str, Kind]] = {
    "plain": Kind([Send(json_response(chat_completion(model="plain")))]),
    "zipped": Kind([Send(response(_zipped(), ("content-encoding", "gzip")))]),
    "stream": Kind(stream_script(chat_events(_WORDS, include_usage=True, model="stream")), streamed=True),
    # open for about 0.3 s, its head with the client: what a kill is most likely to hit
    "slow": Kind(stream_script(chat_events(_WORDS, include_usage=True, model="slow"), gap_s=0.02), streamed=True),
    # open for 3 s: outlives a supervisor, and meets the next one
    "long": Kind(stream_script(chat_events(_WORDS, include_usage=True, model="long"), gap_s=0.2), streamed=True),
    # open for 0.15 s, and nothing of its answer with the client
    "thinking": Kind([Pause(0.15), Send(json_response(chat_completion(model="thinking")))]),
    "error": Kind([Send(error_response(429, "Slow down"))], "upstream_error", "rate_limit", None, 429),
    # its record is as large as records get: 3 KiB
    "fat": Kind([Send(error_response(429, _PAD * 2))], "upstream_error", "rate_limit", None, 429, fat=True),
    # breaks off after its first word
    "cut": Kind(_broken_off("cut", 2), "upstream_truncated", "truncated", None, ends=False, streamed=True),
    # breaks off before it: the event with the role, as every stream begins, has no content
    "hollow": Kind(_broken_off("hollow", 1), "upstream_truncated", "empty", None, ends=False, streamed=True),
}

MIXED: Final = ("plain", "zipped", "stream", "slow", "thinking", "error", "cut", "hollow")


def handler(request: Request) -> Script:
    """What the fake server does."""
    if request.method == "GET":
        return [Send(json_response({"object": "list", "data": []}))]
    return KINDS[request.json()["model"]].script


def request_bytes(kind: str, marker: str, *, in_head: bool) -> bytes:
    """A chat request that carries ``marker`` as the first word of its user and, if ``in_head``, as its origin.

    Without it, all heads of a kind are alike, and the proxy takes its shorter way for heads it has seen before.
    """
    user = f"{marker} {_PAD}" if KINDS[kind].fat else marker
    body = json.dumps(
        {"model": kind, "user": user, "stream": KINDS[kind].streamed, "messages": [{"role": "user", "content": "Hi"}]}
    )
    origin = f"x-llm-metrics-origin: {marker}\r\n" if in_head else ""
    return (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"{origin}content-length: {len(body)}\r\n\r\n{body}"
    ).encode()
