"""``python -m llm_metrics_proxy.supervisor FD``: run the plan that ``become`` left on a descriptor."""

import os
import resource
import sys
from contextlib import suppress

import msgspec

from llm_metrics_proxy import logs
from llm_metrics_proxy.supervisor.launch_plan import Plan
from llm_metrics_proxy.supervisor.run import Supervisor


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as they may: each exchange needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # macOS answers so to "unlimited"; the soft limit is what doctor reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Its exit code is the supervisor's."""
    fd = int(sys.argv[1])
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        plan = msgspec.json.decode(file.read(), type=Plan)
    logs.setup(plan.log_level, plan.log_format, "supervisor")
    raise_descriptor_limit()
    return Supervisor(plan).run()


if __name__ == "__main__":
    sys.exit(main())
