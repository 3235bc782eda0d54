"""Servers' words give the new type from its version on, and what earlier versions calculated stays."""

from pathlib import Path

from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.wire.error_taxonomy import OutcomeFacts, classify, taxonomy_of

facts = OutcomeFacts(outcome="upstream_error", upstream_status_code=400, upstream_error_code="cached_content_expired")
assert classify(facts, taxonomy_of(APP_VERSION)).type == "invalid"
assert classify(facts, taxonomy_of("99.0.0"))[1:3] == ("request", "cache_expired")
assert "| `request` | `cache_expired` |" in Path("docs/topics/errors.md").read_text(encoding="utf-8")
