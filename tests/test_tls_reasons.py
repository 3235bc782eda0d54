"""Real handshakes that fail, and what is said of them."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_metrics_proxy.tls_reasons import BACKEND, CLOSED, WEBHOOK, is_tls, why
from tests.upstream import Certificate

Server = Callable[[socket.socket], None]


def said(server: Server, *, trusted: Path | None = None, name: str = "localhost") -> str | None:
    """Of a client that speaks TLS with ``server``."""
    here, there = socket.socketpair()
    here.settimeout(30)
    there.settimeout(30)

    def serve() -> None:
        with there, contextlib.suppress(OSError):  # as it was meant
            server(there)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ssl.create_default_context(cafile=trusted).wrap_socket(here, server_hostname=name) as tls:
            tls.recv(1)
    except OSError as error:
        return why(error, name, BACKEND)
    finally:
        here.close()
        thread.join()
    return None


def speaks_tls(context: ssl.SSLContext) -> Server:
    def server(sock: socket.socket) -> None:
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(b"x")

    return server


def answers(data: bytes) -> Server:
    def server(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(data)

    return server


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    return Certificate.make(tmp_path)


def test_certificates(tmp_path: Path, own: Certificate) -> None:
    server = speaks_tls(own.server_context())
    assert said(server, trusted=own.cert_file) is None
    told = said(server)
    assert told is not None
    assert told.startswith("has a self-signed certificate; if it is your own, name its issuer's certificate with")
    told = said(server, trusted=own.cert_file, name="llm.example")
    assert told is not None
    assert told.startswith("has a certificate for another name than llm.example; take a name")
    expired = Certificate.expired(tmp_path / "expired")
    told = said(speaks_tls(expired.server_context()), trusted=expired.cert_file)
    assert told == "has a certificate that has expired; renew it on the server, or check this machine's clock"
    issued = Certificate.issued(tmp_path / "issued")
    told = said(speaks_tls(issued.server_context()))
    assert told is not None
    assert told.startswith("has a certificate of an issuer that is not known here")


def test_an_issuer_of_its_own_that_the_server_sends_along(tmp_path: Path) -> None:
    issued = Certificate.issued(tmp_path)
    issued.cert_file.write_bytes(issued.cert_file.read_bytes() + (tmp_path / "issuer.pem").read_bytes())
    assert "an issuer of its own" in (said(speaks_tls(issued.server_context())) or "")


@pytest.mark.parametrize(
    "plain",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.0 400\r\n\r\nClient sent an HTTP request", b"<html>" * 20,
     b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail.example ESMTP\r\n"],
)  # fmt: skip
def test_a_port_that_speaks_something_else(plain: bytes) -> None:
    told = said(answers(plain))
    assert told == "does not speak TLS at this port; let the URL begin with http://, or take the port of https"


def test_nothing_in_common(own: Certificate) -> None:
    old = own.server_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert "has no version of TLS in common" in (said(speaks_tls(old)) or "")
    odd = own.server_context()
    odd.maximum_version = ssl.TLSVersion.TLSv1_2
    odd.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    assert "has no cipher in common" in (said(speaks_tls(odd), trusted=own.cert_file) or "")


def test_certificates_of_clients_and_names_that_the_server_does_not_have(own: Certificate) -> None:
    wants = own.server_context()
    wants.verify_mode = ssl.CERT_REQUIRED
    assert said(speaks_tls(wants), trusted=own.cert_file) == (
        "wants a certificate of the client; turn that off there: it is not supported"
    )
    named = own.server_context()
    named.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    assert "does not know the name localhost" in (said(speaks_tls(named), trusted=own.cert_file) or "")


def test_a_server_that_goes_away() -> None:
    assert said(answers(b"")) == CLOSED


def test_what_else_may_come_is_told_in_openssls_words_and_fills_nothing_in() -> None:
    error = ssl.SSLError(1, "[SSL: {name}] what")
    assert why(error, "x", BACKEND) is not None
    refused = ssl.SSLCertVerificationError(1, "x")
    refused.verify_code, refused.verify_message = 999, "a {trust} of a kind"
    assert "is not accepted (a (trust) of a kind)" in (why(refused, "x", BACKEND) or "")


def test_libraries_hide_it_in_their_own_ways() -> None:
    expired = ssl.SSLCertVerificationError(1, "x")
    expired.verify_code = 10
    caused = ConnectionError("no")
    caused.__cause__ = expired
    for outer in (OSError(ValueError("x", expired)), caused):
        assert "has expired" in (why(outer, "x", WEBHOOK) or "")
    loop = OSError("x")
    loop.__context__ = loop.__cause__ = loop
    for other in (ConnectionRefusedError(111, "refused"), TimeoutError(), OSError("ssl"), loop):
        assert why(other, "x", WEBHOOK) is None


def test_tls_in_place_of_an_answer_is_known() -> None:
    assert is_tls(b"\x15\x03\x01\x00\x02\x02\x46")
    assert is_tls(b"\x16\x03\x03")
    assert is_tls(b"\x15")  # the rest comes with the next read
    assert not is_tls(b"\x15 ")
    assert not is_tls(b"HTTP/1.1 200 OK")
    assert not is_tls(b"")
