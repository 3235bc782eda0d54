"""Web pages and the proxy's port, as a real browser has it: its own CORS, its own Host, its own WebSockets."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.served import CHROMIUM_FLAGS, chromium_path
from tests.proxy.client import STREAMED_CHAT
from tests.proxy.harness import ProxyWorker
from tests.upstream import FakeUpstream, openai_handler

_ASK: Final = """async ([url, how]) => {
  try {
    const answer = await fetch(url, how);
    return [answer.status, answer.headers.get("x-llm-metrics-request-id") !== null, await answer.text()];
  } catch (error) { return "not readable"; }
}"""
_OPEN_SOCKET: Final = """url => new Promise(done => {
  const socket = new WebSocket(url);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})"""
JSON: Final = {"Content-Type": "application/json", "Authorization": "Bearer k", "x-llm-metrics-tag": "a=b"}
SIMPLE: Final = {"Content-Type": "text/plain"}


class _APage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>a page</p>")

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def pages() -> Iterator[int]:
    """The port of a server of pages, whatever name it is called by."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _APage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def misled(browser: Browser) -> Iterator[Browser]:
    """A browser whose resolver says 127.0.0.1 to every name of strangers."""
    opened = browser.browser_type.launch(
        executable_path=chromium_path(),
        args=[*CHROMIUM_FLAGS, "--host-resolver-rules=MAP *.example 127.0.0.1"],
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyWorker]:
    folder = tmp_path_factory.mktemp("pages")
    told = {"allowed_hosts": [], "allowed_origins": ["http://chat.example:*"]}
    with FakeUpstream(openai_handler) as upstream, ProxyWorker(folder, upstream.url, **told) as worker:
        yield worker


def post(headers: dict[str, str]) -> dict[str, Any]:
    return {"method": "POST", "headers": headers, "body": STREAMED_CHAT.decode()}


@pytest.fixture
def page(misled: Browser) -> Iterator[Page]:
    context = misled.new_context()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", ["localhost", "chat.example"])
def test_a_page_that_may_ask_reads_streams_and_our_id(page: Page, pages: int, proxy: ProxyWorker, name: str) -> None:
    page.goto(f"http://{name}:{pages}/")
    for headers in (JSON, SIMPLE):
        url = f"http://127.0.0.1:{proxy.port}/v1/chat/completions"
        status, has_id, text = page.evaluate(_ASK, [url, post(headers)])
        assert (status, has_id, "data: [DONE]" in text) == (200, True, True)
    refused = page.evaluate(_ASK, [f"http://127.0.0.1:{proxy.port}/api/pull", post(JSON)])
    assert refused[:2] == [403, True]
    assert "--allow-paths" in refused[2]
    with_cookies = page.evaluate(_ASK, [f"http://127.0.0.1:{proxy.port}/v1/models", {"credentials": "include"}])
    assert (with_cookies == "not readable") is (name == "localhost")


def test_a_strangers_page_reads_nothing_and_reaches_no_server(page: Page, pages: int, proxy: ProxyWorker) -> None:
    page.goto(f"http://evil.example:{pages}/")
    proxy.forget()
    base = f"http://127.0.0.1:{proxy.port}"
    for path, how in (
        ("/v1/chat/completions", post(JSON)),
        ("/v1/chat/completions", post(SIMPLE)),
        ("/v1/chat/completions", post(SIMPLE) | {"mode": "no-cors"}),
        ("/v1/models", {}),
        ("/v1/models", {"mode": "no-cors"}),
        ("/health", {}),
    ):
        assert page.evaluate(_ASK, [base + path, how]) in ("not readable", [0, False, ""])
    assert page.evaluate(_OPEN_SOCKET, f"ws://127.0.0.1:{proxy.port}/v1/realtime?model=m") == "refused"
    proxy.assert_every_request_has_one_record()
    records = proxy.closed()
    assert {(record.status_code, record.error_type) for record in records} == {(403, "forbidden")}
    assert len(records) == 7


def test_a_name_that_was_rebound_gets_421(page: Page, proxy: ProxyWorker) -> None:
    answer = page.goto(f"http://evil.example:{proxy.port}/v1/models")
    assert answer is not None
    assert answer.status == 421
    url = f"http://evil.example:{proxy.port}/v1/chat/completions"
    assert page.evaluate(_ASK, [url, post(JSON)])[0] == 421


def test_the_servers_own_page_asks_as_ever(page: Page, proxy: ProxyWorker) -> None:
    answer = page.goto(f"http://localhost:{proxy.port}/v1/models")
    assert answer is not None
    assert answer.status == 200
    assert page.evaluate(_ASK, ["/v1/chat/completions", post(JSON)])[0] == 200
