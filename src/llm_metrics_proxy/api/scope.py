"""Keys of ours in the ASGI scope of a request."""

from typing import Final

ASKED_FOR_HEAD: Final = "llm_metrics_proxy.head"  # there: answers that would go on for long need no body
ABORT: Final = "llm_metrics_proxy.abort"  # a function that breaks the connection off; from ``server``
