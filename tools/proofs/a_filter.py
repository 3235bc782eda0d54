"""The new filter selects records over the API, in verbs, rules, roll-ups and the dashboard."""

from pathlib import Path

from llm_metrics_proxy.analytics import RequestFilter, list_requests
from llm_metrics_proxy.api.parameters import FilterParameters
from llm_metrics_proxy.cli.selection import selection
from llm_metrics_proxy.config.watch import SloTable
from llm_metrics_proxy.rollups.values import KEY_OF_FILTER
from llm_metrics_proxy.watch.rules import About
from tools.proofs.stored import stored

records = stored({"finish_reason": "stop"}, {"finish_reason": "length"}, {})
assert len(list_requests(records, RequestFilter(finish_reason="stop")).items) == 1
assert FilterParameters(finish_reason="length").to_filter().finish_reason == "length"
assert selection(finish_reason="stop") == RequestFilter(finish_reason="stop")
assert About(finish_reason="stop").finish_reason == "stop"
assert SloTable(name="a", objective=0.9, finish_reason="stop").finish_reason == "stop"
assert KEY_OF_FILTER["finish_reason"] == "finish_reason"
assert '{ name: "finish_reason" },' in Path("dashboard/src/api/columns.ts").read_text(encoding="utf-8")
assert "`finish_reason`" in Path("docs/settings.md").read_text(encoding="utf-8")
