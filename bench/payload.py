"""The request that every benchmark sends, a short chat with the fields that clients really send, and its answer."""

import json
from typing import Final

MODEL: Final = "bench-model"
# About 600 bytes, as a short answer is.
COMPLETION: Final = (
    '{"id":"chatcmpl-9c1f0a7b52d84e6fb3a1","object":"chat.completion","created":1750000000,"model":"bench-model",'
    '"system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of'
    ' France is Paris, a city on the Seine in the north of the country that is known for its museums and monuments.",'
    '"refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":27,'
    '"total_tokens":61,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}'
)
PATH: Final = "/v1/chat/completions"
FIELDS: Final = {
    "accept": "application/json",
    "authorization": "Bearer sk-bench-0123456789abcdef0123456789abcdef",
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 2.1.0",
    "x-stainless-lang": "python",
}


def body(*, stream: bool = False, user: str = "bench") -> bytes:
    """About 500 bytes of JSON; the streaming upstream goes by ``user``."""
    value = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that answers in one short and polite sentence."},
            {"role": "user", "content": "What is the capital of France, and which river does it lie on? " * 3},
        ],
        "temperature": 0.7,
        "max_tokens": 128,
        "user": user,
    }
    if stream:
        value |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(value).encode()


def raw(port: int, content: bytes) -> bytes:
    """The whole request as bytes for a socket."""
    lines = [
        f"POST {PATH} HTTP/1.1",
        f"host: 127.0.0.1:{port}",
        *(f"{name}: {value}" for name, value in FIELDS.items()),
    ]
    return "\r\n".join([*lines, f"content-length: {len(content)}", "", ""]).encode() + content
