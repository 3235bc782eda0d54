"""The new path is forwarded by default, read, and named in telemetry."""

from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.wire.first_bytes import reader_for
from llm_metrics_proxy.wire.token_counts import tokens_from

route = PathPolicy().route(b"POST", b"/tokenize")
assert route.allowed
assert route.dialect.name == "tokenize"
reader = reader_for(route.dialect, 200, b"application/json")
reader.take(b'{"count": 12, "max_model_len": 4096}')
reported = reader.finish().usage_reported
assert tokens_from(reported, "tokenize").prompt_tokens == 12
assert route.dialect.read_request(b'{"model": "m", "prompt": "Hello"}').model == "m"
