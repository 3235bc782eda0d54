"""TLS towards the LLM server: verified unless told otherwise."""

from pathlib import Path

import pytest

from tests.proxy.client import STREAMED_CHAT, post
from tests.proxy.harness import ProxyWorker
from tests.upstream import Certificate, FakeUpstream, Pause, Reset, Send, Step, chat_completion, chat_events, response

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
    assert "CERTIFICATE_VERIFY_FAILED" in (record.error_message or "")


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    other = Certificate.make(tmp_path, names="DNS:elsewhere.example")
    options = {"upstream_ca_file": str(other.cert_file)}
    with FakeUpstream(tls=other) as upstream, ProxyWorker(tmp_path, upstream.url, **options) as proxy:
        assert proxy.ask(post()).error_code == "tls"


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
