"""Opens connections to servers, and says why one could not be opened: in the record's words and in plain ones."""

import asyncio
import errno
import logging
import socket
import ssl
from time import monotonic_ns
from typing import Final

from llm_metrics_proxy import tls_reasons
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.parties import Home
from llm_metrics_proxy.proxy.routing import Backend
from llm_metrics_proxy.proxy.upstream import Upstream

log = logging.getLogger(__name__)

_OWN_SHORTAGES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}  # no server's fault


class ConnectError(Exception):
    """A connection could not be made; ``cause`` says how it is recorded."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def tls_context(backend: Backend) -> ssl.SSLContext | None:
    """How to talk TLS to a backend, if at all. Raises ``OSError`` if its certificates cannot be loaded."""
    if not backend.address.tls:
        return None
    context = ssl.create_default_context(cafile=backend.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if not backend.tls_verify:
        log.warning(
            "TLS: the certificate of %s is not verified, as the settings say: whoever sits in between can read and "
            "change everything, keys included",
            backend.shown_name,
        )
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_failed(backend: Backend, error: ssl.SSLError) -> ConnectError:
    """In plain words."""
    reason = tls_reasons.why(error, backend.server_name or backend.address.host, tls_reasons.BACKEND)
    return ConnectError(Cause.TLS, f"TLS with {backend.address.label} failed: it {reason}.")


async def connect(home: Home, backend: Backend, tls: ssl.SSLContext | None, timeout_s: float) -> Upstream:
    """Open one connection; raises ``ConnectError``."""
    address = backend.address
    began = monotonic_ns()
    try:
        async with asyncio.timeout(timeout_s):
            _, upstream = await asyncio.get_running_loop().create_connection(
                lambda: Upstream(home),
                address.host,
                address.port,
                ssl=tls,
                server_hostname=(backend.server_name or address.host) if tls else None,
            )
    except (OSError, ValueError) as error:
        raise _explained(error, backend, timeout_s, through_tls=tls is not None) from None
    if not upstream.usable:
        raise ConnectError(Cause.CONNECT_FAILED, f"{address.label} closed the connection at once.")
    upstream.connect_ns = monotonic_ns() - began
    upstream.established = True
    return upstream


def _explained(error: OSError | ValueError, backend: Backend, timeout_s: float, *, through_tls: bool) -> ConnectError:
    label, host = backend.address.label, backend.address.host
    match error:
        case TimeoutError():
            return ConnectError(Cause.CONNECT_TIMEOUT, f"Connecting to {label} took over {timeout_s:g} s.")
        case socket.gaierror():
            return ConnectError(Cause.DNS, f"{host} could not be resolved: {error.strerror}.")
        case ssl.SSLError():
            return tls_failed(backend, error)
        case ValueError():  # a name that IDNA or TLS cannot express; certificate errors (above) are ValueErrors too
            return ConnectError(Cause.DNS, f"{host} is not a host name: {error}.")
        case ConnectionRefusedError():
            return ConnectError(Cause.CONNECT_REFUSED, f"{label} refused the connection.")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError() if through_tls:
            # in the handshake, as a server that accepts a connection seldom resets it before a word was said
            return ConnectError(Cause.TLS, f"TLS with {label} failed: it {tls_reasons.CLOSED}.")
        case OSError() if error.errno in _OWN_SHORTAGES:
            return ConnectError(Cause.SATURATED, f"This proxy cannot open a connection: {error.strerror}.")
    return ConnectError(Cause.CONNECT_FAILED, f"{label}: {error.strerror or error}.")
