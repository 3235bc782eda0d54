"""What ``doctor`` finds out about several backends, with real servers."""

from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.api import create_app
from llm_metrics_proxy.cli import backend_checks
from llm_metrics_proxy.cli.finding import CheckStatus
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.scoreboard import Scoreboard
from tests.analytics.database import Database
from tests.api.service import ports
from tests.api.test_server import running
from tests.proxy.client import post
from tests.proxy.harness import ProxyWorker
from tests.upstream import Certificate, FakeUpstream, error_response, unused_port
from tests.upstream.steps import Send
from tests.waiting import wait_until


def table(name: str, url: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "url": url, **more}


def found(*tables: dict[str, Any], **more: Any) -> Any:
    return backend_checks.backend(Settings(backends=list(tables), port=0, metrics_port=0, **more))  # type: ignore[arg-type]


def test_every_backend_is_named_with_what_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-1")
    with FakeUpstream() as a, FakeUpstream([Send(error_response(401, "no key"))]) as b:
        finding = found(table("a", a.url, api_key_env="A_KEY", add_headers={"X-Team": "red"}), table("b", b.url))
        assert finding.status is CheckStatus.OK
        assert f"a: LLM server at {a.url} (1 model); b: it wants a key" in finding.found
        for request in a.requests:
            assert request.header("authorization") == "Bearer sk-1"
            assert request.header("x-team") == "red"


def test_one_that_does_not_answer_is_a_warning_and_none_that_does_a_failure() -> None:
    gone = table("gone", f"http://127.0.0.1:{unused_port()}")
    with FakeUpstream() as a:
        finding = found(table("a", a.url), gone)
        assert finding.status is CheckStatus.WARNING
        assert "gone: " in finding.found
        assert finding.advice
    assert found(gone).status is CheckStatus.FAILED


def test_own_certificates_and_names_are_used(tmp_path: Path) -> None:
    own = Certificate.make(tmp_path, names="DNS:llm.internal")
    with FakeUpstream(tls=own) as a:
        trusted = table("a", a.url, ca_file=str(own.cert_file), tls_server_name="llm.internal")
        assert found(trusted).status is CheckStatus.OK
        assert found(table("a", a.url, tls_verify=False)).status is CheckStatus.OK
        assert found(table("a", a.url)).status is CheckStatus.FAILED


def test_a_single_backend_is_asked_as_the_workers_ask_it(tmp_path: Path) -> None:
    own = Certificate.make(tmp_path)
    with FakeUpstream(tls=own) as a:
        one: dict[str, Any] = {"backend": a.url, "port": 0, "metrics_port": 0}
        assert backend_checks.backend(Settings(**one, upstream_ca_file=str(own.cert_file))).status is CheckStatus.OK
        assert backend_checks.backend(Settings(**one, upstream_tls_verify=False)).status is CheckStatus.OK
        finding = backend_checks.backend(Settings(**one))
    assert finding.status is CheckStatus.FAILED
    assert "TLS failed: it has a self-signed certificate; if it is your own, name its issuer's" in finding.found
    assert "start it" not in (finding.advice or "")


def test_why_tls_fails_is_told_in_words(tmp_path: Path) -> None:
    other = Certificate.make(tmp_path, names="DNS:elsewhere.example")
    with FakeUpstream(tls=other) as a, FakeUpstream(on_connect=[Send(b"HTTP/1.0 400 Bad\r\n\r\n")]) as plain:
        finding = found(
            table("a", a.url, ca_file=str(other.cert_file)),
            table("b", a.url.replace("https:", "http:")),
            table("c", plain.url.replace("http:", "https:")),
        )
    for words in (
        "a: TLS failed: it has a certificate for another name than 127.0.0.1",
        "if it speaks TLS at this port: let the URL begin with https://; c: ",
        "c: TLS failed: it does not speak TLS at this port",
    ):
        assert words in finding.found


@pytest.mark.system
def test_what_the_running_proxy_passes_over_is_told(tmp_path: Path) -> None:
    board, database = Scoreboard.create(), Database(tmp_path)
    gone = f"http://127.0.0.1:{unused_port()}"
    with FakeUpstream() as a:
        told = [{"name": "gone", "url": gone}, {"name": "a", "url": a.url}]
        options = {"backends": told, "eject_after_failures": 1, "probe_interval_s": 600, "scoreboard_fd": board.fd}
        with ProxyWorker(tmp_path, "", **options) as proxy:
            while all(each["up"] for each in proxy.health()["backends"]):
                proxy.ask(post())
            with running(create_app(ports(database, scoreboard=board))) as (metrics_port, _, _):
                settings = Settings(backends=told, port=proxy.port, metrics_port=metrics_port)  # type: ignore[arg-type]
                wait_until(lambda: "passes over" in backend_checks.backend(settings).found)  # shown once a second
                finding = backend_checks.backend(settings)
    database.close()
    assert finding.status is CheckStatus.WARNING
    assert "the proxy that runs passes over: gone" in finding.found


@pytest.mark.parametrize(
    ("values", "status", "names"),
    [
        ({"backend": "http://a:1", "upstream_tls_verify": False}, CheckStatus.OK, ""),
        ({"backend": "https://127.0.0.1:1"}, CheckStatus.OK, ""),
        ({"backend": "https://127.0.0.1:1", "upstream_tls_verify": False}, CheckStatus.WARNING, "backend"),
        (
            {"backends": [table("a", "https://127.0.0.1:1"), table("b", "https://127.0.0.1:2", tls_verify=False)]},
            CheckStatus.WARNING,
            "b",
        ),
        (
            {
                "backends": [table("a", "https://127.0.0.1:1"), table("b", "https://127.0.0.1:2", tls_verify=True)],
                "upstream_tls_verify": False,
            },
            CheckStatus.WARNING,
            "a",
        ),
        ({"backends": [table("a", "http://a:1", tls_verify=False)]}, CheckStatus.OK, ""),
    ],
)
def test_certificates_that_nobody_checks_are_told(values: dict[str, Any], status: CheckStatus, names: str) -> None:
    finding = backend_checks.tls(Settings(port=0, metrics_port=0, **values))
    assert finding.status is status
    assert (finding.found.rpartition(": ")[2] if finding.advice else "") == names


def test_a_certificate_that_fails_is_a_finding_of_its_own(tmp_path: Path) -> None:
    own = Certificate.make(tmp_path)
    with FakeUpstream(tls=own) as a:
        one: dict[str, Any] = {"backend": a.url, "port": 0, "metrics_port": 0}
        alone = backend_checks.tls(Settings(**one))
        assert alone.status is CheckStatus.FAILED
        assert alone.found.startswith("backend: TLS failed: it has a self-signed certificate")
        assert alone.advice
        trusted: dict[str, Any] = {"upstream_ca_file": str(own.cert_file)}
        assert backend_checks.tls(Settings(**one, **trusted)).found == "1 https backends, all checked"
        tables: Any = [table("bad", a.url), table("good", a.url, ca_file=str(own.cert_file))]
        beside_a_good_one = backend_checks.tls(Settings(backends=tables, port=0, metrics_port=0))
    assert beside_a_good_one.status is CheckStatus.WARNING
    assert beside_a_good_one.found.startswith("bad: TLS failed")
    assert "good" not in beside_a_good_one.found
