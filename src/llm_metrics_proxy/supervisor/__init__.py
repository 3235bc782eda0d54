"""Starts the processes of ``serve``, restarts what dies, and stops everything in order. Sleeps until a signal comes.

The rules:

* A child gets its options as one line on its standard input, which then stays open. End of file there means that
  the supervisor is gone, even by ``kill -9``: the child drains and ends by itself, so nothing is ever orphaned.
* A child has a process group of its own. Ctrl-C in a terminal reaches the supervisor only, and the children hear from
  it. All are in one session: where Linux groups processes by sessions (``sched_autogroup``), how nice one is counts
  within a session only, and a migration in a session of its own would get as much of a core as a worker.
* What dies is started again: after 100 ms, doubling to 5 s, and from 100 ms again after 30 s of health. A worker that
  dies five times in a row before it could listen ends everything with exit code 1.
* Exit code 2 (settings) or 3 (newer database) is a refusal: trying again cannot help, so it is only reported.
  A child that others can do without (``ChildSpec.without_it``) leaves the rest running.
* SIGTERM and SIGINT stop by groups: the workers drain, then the metrics process stores what they left. A second
  signal kills at once.
* SIGHUP has the settings read again, by a process of its own (``Reload``): this one holds no library for it. What it
  answers goes to the workers as another line on their standard input, and to those that are started later as their
  first. If it refuses, everything stays as it is. Either way the state file says what became of it.

A process image of its own: ``become`` replaces the command that read the settings, whose libraries take 25 MiB that
nobody would use again. The children are forks of it (``forked``): it loads once what all of them need, a third of their
memory is one and the same, and none has to start an interpreter.
"""

from llm_metrics_proxy.supervisor.child import LONGEST_DELAY_S, restart_delay_s
from llm_metrics_proxy.supervisor.launch_plan import (
    SUPERVISOR,
    ChildSpec,
    LaunchPlan,
    Reload,
    ReloadAnswer,
    ReloadRequest,
    become,
    command,
)
from llm_metrics_proxy.supervisor.state_file import SupervisorState, running

__all__ = [
    "LONGEST_DELAY_S",
    "SUPERVISOR",
    "ChildSpec",
    "LaunchPlan",
    "Reload",
    "ReloadAnswer",
    "ReloadRequest",
    "SupervisorState",
    "become",
    "command",
    "restart_delay_s",
    "running",
]
