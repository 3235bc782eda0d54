"""The new metric is measured and documented."""

from pathlib import Path

from tools.proofs.stored import stored, value

assert value(stored({"outcome": "completed", "success": True, "status_code": 200}, {}), "failures") == 1
assert "| `failures` | requests |" in Path("docs/topics/analytics.md").read_text(encoding="utf-8")
assert '"failures",' in Path("dashboard/src/api/columns.ts").read_text(encoding="utf-8")
