"""``python -m llm_metrics_proxy.supervisor FD``: run the plan that ``become`` left on a descriptor."""

import os
import sys

import msgspec

from llm_metrics_proxy import descriptors, logs
from llm_metrics_proxy.supervisor.launch_plan import LaunchPlan
from llm_metrics_proxy.supervisor.run import Supervisor


def main() -> int:
    """Its exit code is the supervisor's."""
    fd = int(sys.argv[1])
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        plan = msgspec.json.decode(file.read(), type=LaunchPlan)
    logs.setup(plan.log_level, plan.log_format, "supervisor")
    descriptors.raise_limit()
    return Supervisor(plan).run()


if __name__ == "__main__":
    sys.exit(main())
