"""One attempt to send a message, and when to try again.

At least once: a message whose answer was lost is sent again, with the same id. An answer of 2xx means that
it was taken. Redirections are not followed, and no proxy of the environment is used: the address is that of the file.
"""

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from llm_metrics_proxy import tls_reasons

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

TIMEOUT_S: Final = 5.0
RETRY_FIRST_S: Final = 2.0
RETRY_LONGEST_S: Final = 300.0
GIVE_UP_S: Final = 86_400.0


@cache
def _opener() -> "OpenerDirector":
    import urllib.request  # noqa: PLC0415 -- half a megabyte for who has a webhook

    class NoRedirection(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """The answer stands as it is: not 2xx."""

    return urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirection())


def post(url: str, body: str, event_id: str, *, timeout_s: float = TIMEOUT_S) -> str | None:
    """Post JSON; why it was not taken, or ``None``. The reason never holds the address."""
    import http.client  # noqa: PLC0415 -- as above
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    headers = {"Content-Type": "application/json", "Idempotency-Key": event_id, "User-Agent": "llm-metrics-proxy"}
    request = urllib.request.Request(url, body.encode(), headers, method="POST")  # noqa: S310 -- http or https: config
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except (OSError, http.client.HTTPException, ssl.SSLError) as error:
        if (why := tls_reasons.why(error, "that of its address", tls_reasons.WEBHOOK)) is not None:
            return f"TLS failed: it {why}"
        reason = getattr(error, "reason", None) or error
        return f"{type(reason).__name__}: {getattr(reason, 'strerror', None) or 'no answer'}"
    return None if 200 <= status < 300 else f"it answered with status {status}"


def retry_after_s(failures: int) -> float:
    """Pause after that many failures in a row: doubling, up to five minutes."""
    return min(RETRY_FIRST_S * 2.0 ** min(max(failures - 1, 0), 30), RETRY_LONGEST_S)
