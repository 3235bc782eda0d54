"""Why a TLS connection was not made, in plain words, and what to do about it. Pure: an exception in, a sentence out.

OpenSSL's own words name a state of its machinery ("wrong version number" is a server that speaks no TLS at all). The
numbers are those of X509_verify_cert_error_string(3), the names those of its reason codes and of the alerts that the
other side sends (RFC 8446 section 6).
"""

import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple


class Reason(NamedTuple):
    """``what`` completes "TLS with … failed: it …"; both may name ``{name}``, ``{trust}`` and ``{rename}``."""

    what: str
    todo: str


class Hints(NamedTuple):
    """How to change, for what was connected to: whom it trusts, and the name that it expects."""

    trust: str
    rename: str


BACKEND: Final = Hints(
    "name its issuer's certificate with upstream_ca_file (ca_file of one of several backends)",
    "take a name of the certificate for the URL, or set tls_server_name of a backend in [[backends]]",
)
WEBHOOK: Final = Hints(
    "add its issuer's certificate to the system's, or name it with the variable SSL_CERT_FILE",
    "take a name of the certificate for the URL",
)

_ISSUER: Final = Reason(
    "has a certificate of an issuer that is not known here",
    "if that is your own, {trust}; else let the server send the certificates between its own and a known issuer's",
)
_WEAK: Final = Reason("has a certificate whose key or signature is too weak", "have it issued again")
_CERTIFICATE: Final = {
    9: Reason("has a certificate that is not valid yet", "check the clocks of both machines"),
    10: Reason("has a certificate that has expired", "renew it on the server, or check this machine's clock"),
    18: Reason("has a self-signed certificate", "if it is your own, {trust}"),
    19: Reason("has a certificate of an issuer of its own, which is not trusted here", "if that is yours, {trust}"),
    **dict.fromkeys((2, 20, 21), _ISSUER),
    23: Reason("has a certificate that was revoked", "have it issued again"),
    26: Reason("has a certificate that is for another purpose than serving TLS", "let it be issued for a server"),
    **dict.fromkeys((62, 64), Reason("has a certificate for another name than {name}", "{rename}")),
    **dict.fromkeys((66, 67, 68), _WEAK),
}  # fmt: skip
_NO_TLS: Final = Reason("does not speak TLS at this port", "let the URL begin with http://, or take the port of https")
_VERSION: Final = Reason("has no version of TLS in common with this program, which speaks 1.2 and later", "update it")
_CIPHER: Final = Reason(
    "has no cipher in common with this program, or wants a certificate of the client",
    "see how TLS is set there; certificates of clients are not supported",
)
_CLIENT: Final = Reason("wants a certificate of the client", "turn that off there: it is not supported")
_CLOSED: Final = Reason(
    "closed the connection in the middle of the handshake", "see whether it speaks TLS at this port"
)
_HANDSHAKE: Final = {
    **dict.fromkeys(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL",
                     "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "BAD_RECORD_TYPE", "UNEXPECTED_RECORD",
                     "ENCRYPTED_LENGTH_TOO_LONG", "DATA_LENGTH_TOO_LONG"), _NO_TLS),
    **dict.fromkeys(("UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "TLSV1_ALERT_PROTOCOL_VERSION",
                     "UNSUPPORTED_SSL_VERSION", "VERSION_TOO_LOW", "WRONG_SSL_VERSION"), _VERSION),
    **dict.fromkeys(("SSLV3_ALERT_HANDSHAKE_FAILURE", "SSL/TLS_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER",
                     "NO_CIPHERS_AVAILABLE", "TLSV1_ALERT_INSUFFICIENT_SECURITY"), _CIPHER),
    **dict.fromkeys(("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE", "TLSV1_ALERT_UNKNOWN_CA",
                     "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSL/TLS_ALERT_BAD_CERTIFICATE",
                     "SSL/TLS_ALERT_CERTIFICATE_UNKNOWN"), _CLIENT),
    **dict.fromkeys(("TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME"),
                    Reason("does not know the name {name}", "{rename}")),
    **dict.fromkeys(("DH_KEY_TOO_SMALL", "EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"), _WEAK),
    **dict.fromkeys(("UNEXPECTED_EOF_WHILE_READING", "UNEXPECTED_EOF"), _CLOSED),
}  # fmt: skip
_ALERT: Final = b"\x15\x03"  # the first bytes of an alert in TLS, any version (RFC 8446 section 5.1)
_HANDSHAKE_RECORD: Final = b"\x16\x03"
CLOSED: Final = f"{_CLOSED.what}; {_CLOSED.todo}"  # where the connection ended without a word of TLS
SPEAKS_TLS: Final = "speaks TLS at this port: let the URL begin with https://"


def why(error: BaseException, name: str, hints: Hints) -> str | None:
    """A clause that completes "it …" and says what to do; ``None`` if TLS is not to blame.

    ``error`` or what it was made from; ``name``: that the certificate should have.
    """
    fault = next((each for each in _roots(error) if isinstance(each, ssl.SSLError)), None)
    if fault is None:
        return None
    reason, words = _reason(fault), {"name": name, **hints._asdict()}
    return f"{reason.what.format(**words)}; {reason.todo.format(**words)}"


def is_tls(answer: bytes) -> bool:
    """Whether TLS came instead of a plain HTTP answer; its first byte is enough, as no text begins with it."""
    return bool(answer) and any(mark.startswith(answer[: len(mark)]) for mark in (_ALERT, _HANDSHAKE_RECORD))


def _reason(fault: ssl.SSLError) -> Reason:
    if isinstance(fault, ssl.SSLCertVerificationError):
        known = _CERTIFICATE.get(getattr(fault, "verify_code", 0))  # there where OpenSSL itself found the fault
        words = _plain(getattr(fault, "verify_message", str(fault)))
        return known or Reason(f"has a certificate that is not accepted ({words})", "{trust}")
    if isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _CLOSED
    name = getattr(fault, "reason", None) or ""
    words = _plain((name or str(fault)).replace("_", " ").lower())
    return _HANDSHAKE.get(name) or Reason(f"did not finish the handshake ({words})", "see how TLS is set there")


def _plain(text: str) -> str:
    """Braces would be read as placeholders."""
    return text.replace("{", "(").replace("}", ")")


def _roots(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it was made from, whichever way libraries keep them."""
    waiting, seen = [error], set[int]()
    while waiting:
        fault = waiting.pop(0)
        if id(fault) in seen:
            continue
        seen.add(id(fault))
        yield fault
        inner = (getattr(fault, "reason", None), fault.__cause__, fault.__context__, *fault.args)
        waiting += [each for each in inner if isinstance(each, BaseException)]
