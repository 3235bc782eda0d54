"""``python -m llm_metrics_proxy.supervisor --plan-descriptor=FD``: run the plan that ``become`` left there."""

import gc
import importlib
import os
import sys

import msgspec

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.supervisor.forked import Born, live
from llm_metrics_proxy.supervisor.launch_plan import LaunchPlan
from llm_metrics_proxy.supervisor.run import Supervisor


def main() -> int:
    """Its exit code is the supervisor's, or in a new process that one's own."""
    with os.fdopen(int(sys.argv[1].partition("=")[2]), "rb") as file:
        file.seek(0)
        plan = msgspec.json.decode(file.read(), type=LaunchPlan)
    logs.setup(plan.log_level, plan.log_format, "supervisor")
    descriptors.raise_limit()
    for module in plan.preloaded:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection writes to everything that it looks at, and what is written to is shared no more
    born = None
    try:
        return Supervisor(plan).run()
    except Born as new:
        born = new.spec, new.stdin_fd
    del plan
    live(*born)
    return 0


if __name__ == "__main__":
    sys.exit(main())
