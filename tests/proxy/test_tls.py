"""TLS towards the LLM server: verified unless told otherwise."""

import ssl
from pathlib import Path

import pytest

from tests.proxy.client import STREAMED_CHAT, get, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import (
    Certificate,
    FakeUpstream,
    Pause,
    Receive,
    Reset,
    Send,
    Stall,
    Step,
    chat_completion,
    chat_events,
    response,
)  # fmt: skip

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


def test_a_certificate_that_is_trusted_is_talked_to(tmp_path: Path, certificate: Certificate) -> None:
    options = {"upstream_ca_file": str(certificate.cert_file)}
    with FakeUpstream(tls=certificate) as upstream, ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        assert proxy.ask(post()).json() == chat_completion()
        assert proxy.ask(post(STREAMED_CHAT)).body == b"".join(chat_events())
        assert len(upstream.connections) == 1
        first, second = proxy.records(2)
        assert first.connect_ms is not None
        assert second.upstream_reused


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    with FakeUpstream(tls=certificate) as upstream, ProxyWorker(tmp_path, upstream.url) as proxy:
        answer = proxy.ask(post())
        assert (answer.status, answer.error_code) == (502, "tls")
        record = proxy.record()
        assert upstream.requests == []
    assert (record.outcome, record.error_type) == ("upstream_unreachable", "tls")
    assert "self-signed" in (record.error_message or "")


def told(folder: Path, upstream: FakeUpstream, *, url: str | None = None, ca_file: Path | None = None) -> str:
    """What the answer says, which is what record, log and /health say."""
    options = {} if ca_file is None else {"upstream_ca_file": str(ca_file)}
    with ProxyWorker(folder / "worker", url or upstream.url, **options) as proxy:
        for _ in range(2):
            answer = proxy.ask(post())
        record = proxy.records(2)[1]
        health, log = proxy.health(), proxy.log
    assert (answer.status, answer.error_code, record.error_type) == (502, "tls", "tls")
    message: str = answer.json()["error"]["message"]
    assert message == record.error_message
    if url or upstream.url.startswith("https:"):  # else a connection was made
        assert upstream.requests == []
        assert message == health["backend_error"]
        assert log.count(message) == 1, "once, not for each request"
    return message


def test_each_fault_of_a_certificate_is_told_apart(tmp_path: Path) -> None:
    own = Certificate.make(tmp_path / "own")
    other = Certificate.make(tmp_path / "other", names="DNS:elsewhere.example")
    expired = Certificate.expired(tmp_path / "expired")
    issued = Certificate.issued(tmp_path / "issued")
    cases = {
        "self-signed": (own, None),
        "for another name than 127.0.0.1": (other, other.cert_file),
        "has expired": (expired, expired.cert_file),
        "an issuer that is not known here": (issued, None),
    }
    for words, (certificate, ca_file) in cases.items():
        with FakeUpstream(tls=certificate) as upstream:
            message = told(tmp_path / words.replace(" ", "_"), upstream, ca_file=ca_file)
        assert words in message
        assert [each for each in cases if each in message] == [words]
    trusted = {"upstream_ca_file": str(tmp_path / "issued" / "issuer.pem")}
    with FakeUpstream(tls=issued) as upstream, ProxyWorker(tmp_path / "well", upstream.url, **trusted) as proxy:
        assert proxy.ask(post()).status == 200
        proxy.record()


def test_http_where_https_was_meant_and_the_other_way_round(tmp_path: Path, certificate: Certificate) -> None:
    # It stays, as closing at once with a hello unread resets the connection, which may overtake what was sent.
    refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with FakeUpstream(on_connect=[Send(refusal), Stall()]) as upstream:
        message = told(tmp_path / "a", upstream, url=upstream.url.replace("http:", "https:"))
        assert "does not speak TLS at this port; let the URL begin with http://" in message
    # After the first byte, as such a server does: before a request it would only be one that closes at once.
    alert = b"\x15\x03\x01\x00\x02\x02\x0a"
    with FakeUpstream(on_connect=[Receive(1), Send(alert), Stall()]) as upstream:
        assert "speaks TLS at this port: let the URL begin with https://" in told(tmp_path / "b", upstream)
    # Some say nothing and close, as a server may that only went away: no more than a hint, and none once it answered.
    with (
        FakeUpstream(tls=certificate) as upstream,
        ProxyWorker(tmp_path / "c", upstream.url.replace("https:", "http:")) as proxy,
    ):
        answer = proxy.ask(post())
        assert (answer.status, answer.error_code) == (502, "reset")
        assert "if it speaks TLS at this port: let the URL begin with https://" in answer.json()["error"]["message"]
        assert proxy.record().error_message == answer.json()["error"]["message"]
    well: list[Step] = [Send(response(b"{}", length=2))]
    with (
        FakeUpstream(lambda asked: well if asked.method == "GET" else [Reset()]) as upstream,
        ProxyWorker(tmp_path / "d", upstream.url) as proxy,
    ):
        proxy.ask(get())
        assert "TLS" not in proxy.ask(post()).json()["error"]["message"]
        proxy.records(2)


def test_a_server_that_wants_a_certificate_of_the_client_says_so_after_the_handshake(
    tmp_path: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Certificate.server_context

    def wants(self: Certificate) -> ssl.SSLContext:
        context = made(self)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    monkeypatch.setattr(Certificate, "server_context", wants)
    with FakeUpstream(tls=certificate) as upstream:
        message = told(tmp_path, upstream, ca_file=certificate.cert_file)
    assert "wants a certificate of the client" in message


def test_one_of_several_that_cannot_be_asked_for_its_models_says_why(tmp_path: Path, certificate: Certificate) -> None:
    with FakeUpstream(tls=certificate) as a:
        tables = [{"name": "a", "url": a.url}, {"name": "b", "url": a.url, "tls_server_name": "llm.example"}]
        with ProxyWorker(tmp_path, "", backends=tables, eject_after_failures=1) as proxy:
            answer = proxy.ask(get())
            message = answer.json()["error"]["message"]
            assert message == proxy.record().error_message
            assert proxy.ask(post()).error_code == "tls"
            proxy.records(2)
            report, log = proxy.health()["backends"], proxy.log
    assert "No backend listed its models: a:tls,b:tls. TLS with 127.0.0.1" in message
    assert "has a self-signed certificate" in message
    assert all("self-signed" in each["connect_error"] for each in report)
    assert "failed 1 times in a row (TLS with 127.0.0.1" in log


def test_verification_can_be_turned_off(tmp_path: Path, certificate: Certificate) -> None:
    with (
        FakeUpstream(tls=certificate) as upstream,
        ProxyWorker(tmp_path, upstream.url, upstream_tls_verify=False) as proxy,
    ):
        assert proxy.ask(post()).status == 200
        assert "not verified" in proxy.log


def test_an_answer_that_breaks_off_under_tls_never_ends_cleanly(tmp_path: Path, certificate: Certificate) -> None:
    script: list[Step] = [Send(response(b"half", length=8)), Pause(0.03), Reset()]
    with (
        FakeUpstream(script, tls=certificate) as upstream,
        ProxyWorker(tmp_path, upstream.url, upstream_tls_verify=False) as proxy,
    ):
        assert not proxy.ask(post()).whole
        assert proxy.record().outcome == "stream_truncated"
