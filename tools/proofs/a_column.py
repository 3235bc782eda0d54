"""The new column is read from an answer, stored, measured, listed and documented."""

from pathlib import Path

from llm_metrics_proxy.analytics import RequestFilter, list_requests
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.wire.apis.llama_native import LLAMA_COMPLETION
from tools.proofs.stored import record, stored, value

exchange = Exchange(record(), 1)
exchange.request_complete(2)
exchange.upstream_ready(3, reused=True, connect_ns=0)
exchange.request_sent(4)
exchange.response_head(5, 200, LLAMA_COMPLETION.body_reader(), None)
exchange.response_body(b'{"content": "a", "stop": true, "timings": {"queue_ms": 7.5}}', 6, 7)
assert exchange.finish(9, 8).queue_ms == 7.5

records = stored({"queue_ms": 10.0}, {"queue_ms": 30.0}, {})
assert value(records, "queue_ms.mean") == 20.0
assert [item["queue_ms"] for item in list_requests(records, RequestFilter()).items] == [None, 30.0, 10.0]
assert '"queue_ms"' in Path("dashboard/src/api/columns.ts").read_text(encoding="utf-8")
assert '"queue_ms"' in Path("dashboard/openapi.json").read_text(encoding="utf-8")
assert "| `queue_ms` | ms |" in Path("docs/metrics.md").read_text(encoding="utf-8")
