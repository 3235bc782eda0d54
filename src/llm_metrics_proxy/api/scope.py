"""Keys of ours in the ASGI scope of a request, and its path as it was meant."""

from typing import Final

from starlette.types import Scope

ASKED_FOR_HEAD: Final = "llm_metrics_proxy.head"  # there: answers that would go on for long need no body
ABORT: Final = "llm_metrics_proxy.abort"  # a function that breaks the connection off; from ``server``


def with_one_slash(scope: Scope) -> Scope:
    """``//models`` is ``/models``: what nginx makes of ``location /llm { proxy_pass http://127.0.0.1:8002/; }``."""
    path = scope["path"]
    return {**scope, "path": f"/{path.lstrip('/')}"} if path.startswith("//") else scope
