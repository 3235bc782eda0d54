"""Write the dashboards for Grafana in contrib/ from the tables of ``tools.grafana_*``.

    python -m tools.make_dashboard

A test fails when a file is not what its table gives; others run every query of them against what it is for.
"""

import json
from pathlib import Path
from typing import Any, Final

from tools import grafana_api, grafana_clickhouse, grafana_prometheus
from tools.grafana import document

CONTRIB: Final = Path(__file__).parents[1] / "contrib"
FILE: Final = CONTRIB / "grafana-dashboard.json"
CLICKHOUSE_FILE: Final = CONTRIB / "grafana-clickhouse.json"
API_FILE: Final = CONTRIB / "grafana-api.json"
PAGE: Final = "http://127.0.0.1:8002"


def documents() -> dict[Path, dict[str, Any]]:
    """File → document."""
    return {
        FILE: document(
            "llm-metrics-proxy",
            "LLM Metrics Proxy",
            grafana_prometheus.SOURCE,
            grafana_prometheus.PANELS,
            grafana_prometheus.VARIABLES,
        ),
        CLICKHOUSE_FILE: document(
            "llm-metrics-proxy-clickhouse",
            "LLM Metrics Proxy, records in ClickHouse",
            grafana_clickhouse.SOURCE,
            grafana_clickhouse.PANELS,
            grafana_clickhouse.VARIABLES,
            links_to=PAGE,
        ),
        API_FILE: document(
            "llm-metrics-proxy-api",
            "LLM Metrics Proxy, by its API",
            grafana_api.SOURCE,
            grafana_api.PANELS,
            links_to=PAGE,
        ),
    }


def text(made: dict[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(made, indent=2) + "\n"


if __name__ == "__main__":
    for path, made in documents().items():
        path.write_text(text(made), encoding="utf-8")
