"""The HTTP API over the records: routes only. Parameters become a query value, a result becomes JSON.

Everything it needs is handed in as ``ApiPorts`` by the composition root; it names no store and opens nothing.
Imported by ``cli`` alone.
"""

from llm_metrics_proxy.api.app import create_app
from llm_metrics_proxy.api.ports import ApiPorts

__all__ = ["ApiPorts", "create_app"]
