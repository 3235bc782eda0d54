"""Variables that an orchestrator injects for neighbouring services, and that look like our settings.

A service named ``llm-metrics-proxy-metrics`` is described to every container of its Kubernetes namespace, and a
container of that name to those that Docker links with it, under names that begin with ours: one of them may even be a
setting's (``LLM_METRICS_PROXY_PORT=tcp://10.0.0.7:8001``). We know them by names that no person would choose, or by
their values. Every other unknown name counts as a mistyped setting.
"""

import re
from typing import Final

_PROTOCOL: Final = "(TCP|UDP|SCTP)"
# SERVICE_HOST, SERVICE_PORT and SERVICE_PORT_<name> are Kubernetes'; PORT_<number>_<protocol> and what follows it are
# everybody's; ENV_<name> is Docker's: the whole environment of the other container.
_NAME: Final = re.compile(rf"(.*_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_{_PROTOCOL}(_\w+)?|ENV_\w+)", re.ASCII)
_ADDRESS: Final = re.compile(rf"(?i:{_PROTOCOL})://\S+:\d+", re.ASCII)
_CONTAINER: Final = re.compile(r"(/[A-Za-z0-9][\w.-]*){2}", re.ASCII)  # Docker: /this/that, as this knows that


def is_service_link(name: str, value: str) -> bool:
    """Whether it describes a service. Names of every prefix are checked, ours and others."""
    if _NAME.fullmatch(name):
        return True
    told_by_value = _ADDRESS if name.endswith("_PORT") else _CONTAINER if name.endswith("_NAME") else None
    return told_by_value is not None and told_by_value.fullmatch(value) is not None
