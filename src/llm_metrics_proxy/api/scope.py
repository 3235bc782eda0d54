"""Keys of ours in the ASGI scope of a request, and its path as it was meant."""

from typing import Final

from starlette.types import Scope

from llm_metrics_proxy.forwarded import Asker

ASKED_FOR_HEAD: Final = "llm_metrics_proxy.head"  # there: answers that would go on for long need no body
_ASKER: Final = "llm_metrics_proxy.asker"
ABORT: Final = "llm_metrics_proxy.abort"  # a function that breaks the connection off; from ``server``
REFUSAL: Final = "llm_metrics_proxy.refusal"  # an application that answers instead of ours; from ``capacity``


def with_one_slash(scope: Scope) -> Scope:
    """``//models`` is ``/models``: what nginx makes of ``location /llm { proxy_pass http://127.0.0.1:8002/; }``."""
    path = scope["path"]
    return {**scope, "path": f"/{path.lstrip('/')}"} if path.startswith("//") else scope


def with_asker(scope: Scope, asker: Asker) -> Scope:
    """The request as it goes on, with what the guard knows of its client."""
    return {**scope, _ASKER: asker}


def asker_of(scope: Scope) -> Asker:
    """The client, set by ``with_asker``."""
    asker: Asker = scope[_ASKER]
    return asker
