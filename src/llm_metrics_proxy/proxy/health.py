"""What a worker reports at ``/health`` of itself and the others, in the same words as the metrics port."""

from collections.abc import Sequence
from typing import Any

from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.scoreboard import WorkerStatus, journal_faults, records_lost, shortages


def report(ctx: Context, workers: Sequence[WorkerStatus], now_ns: int, unix_ms: int) -> dict[str, Any]:
    """Always 200 while the process lives; ``degraded`` says that records are being lost, or clients turned away."""
    servers = ctx.fleet.servers
    lost, losses = records_lost(workers)
    reasons = [*journal_faults(workers), *losses, *shortages(workers, unix_ms)]
    return {
        "status": "degraded" if reasons else "ok",
        "reasons": reasons,
        "records_dropped": lost,
        "backend": ", ".join(server.backend.shown_name for server in servers),
        "backend_error": next((error for server in servers if (error := server.pool.last_error)), None),
        "backends": [server.report(now_ns) for server in servers if server.backend.rule.name is not None],
        "draining": ctx.draining,
        "workers": [{"worker": worker.slot, **worker.values} for worker in workers],
    }
