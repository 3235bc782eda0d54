import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from llm_metrics_proxy.engines.clickhouse.connection import LEAST_VERSION, Connection
from llm_metrics_proxy.errors import StoreBusyError, StoreError
from llm_metrics_proxy.store_address import StoreAccess, store_address
from llm_metrics_proxy.zstandard import zstd
from tests.clickhouse.server import PASSWORD, ClickHouseServer, clickhouse_server, free_port
from tests.upstream import Certificate

pytestmark = pytest.mark.system


def access(url: str, password: str = "") -> StoreAccess:
    address = store_address(url)
    assert address is not None
    return StoreAccess(address, password)


def test_takes_values_as_parameters_and_rows_in_any_coding(clickhouse_url: str) -> None:
    connection = Connection(access(clickhouse_url))
    try:
        assert connection.server().version >= LEAST_VERSION
        strange = "a'b\\ \n{x} ü \x00"
        assert connection.query("SELECT {text:String}, {number:Int64}", {"text": strange, "number": 2**63 - 1}) == [
            (strange, 2**63 - 1)
        ]
        connection.command("CREATE TABLE t (a Int64, b Nullable(Float64)) ENGINE = MergeTree ORDER BY a")
        rows = zstd.compress(b"[1, 0.1]\n[2, null]\n")
        connection.insert("INSERT INTO t FORMAT JSONCompactEachRow", rows, coding="zstd", query_id="ours_1")
        assert connection.query("SELECT * FROM t ORDER BY a") == [(1, 0.1), (2, None)]
        assert connection.value("SELECT count() FROM t") == 2
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("sql", "kind", "words"),
    [
        ("SELECT * FROM missing", StoreError, "UNKNOWN_TABLE.*start the metrics process"),
        ("SELECT nothing_like_it", StoreError, "UNKNOWN_IDENTIFIER"),
        (
            "SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 0.1, max_block_size = 1",
            StoreBusyError,
            "TIMEOUT_EXCEEDED",
        ),
    ],
)
def test_what_the_server_refuses_says_why(clickhouse_url: str, sql: str, kind: type[StoreError], words: str) -> None:
    connection = Connection(access(clickhouse_url))
    try:
        with pytest.raises(StoreError, match=words) as caught:
            connection.query(sql)
        assert type(caught.value) is kind
        assert "version" not in str(caught.value)
    finally:
        connection.close()


def test_a_wrong_password_and_a_missing_database_say_what_to_do(clickhouse: ClickHouseServer) -> None:
    for url, password, kind, words in (
        (clickhouse.url(user="guarded"), "wrong", StoreError, "LLM_METRICS_PROXY_STORE_PASSWORD"),
        (clickhouse.url("not_there"), "", StoreError, "CREATE DATABASE not_there"),
        (f"clickhouse+https://default@{clickhouse.netloc}/default", "", StoreBusyError, "port for TLS"),
        (f"clickhouse+http://default@127.0.0.1:{free_port()}/default", "", StoreBusyError, "Connection refused"),
    ):
        with pytest.raises(StoreError, match=words) as caught:
            Connection(access(url, password)).server()
        assert type(caught.value) is kind
    guarded = Connection(access(clickhouse.url(user="guarded"), PASSWORD))
    assert guarded.value("SELECT currentUser()") == "guarded"
    guarded.close()


@contextmanager
def by_tls(server: ClickHouseServer, certificate: Certificate) -> Iterator[int]:
    """A port of loopback that speaks TLS in front of the server: its own would need files of its configuration."""

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with closing(HTTPConnection(server.netloc, timeout=30)) as inner:
                inner.request("POST", self.path, body, dict(self.headers.items()))
                answer = inner.getresponse()
                content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        relay.socket = certificate.server_context().wrap_socket(relay.socket, server_side=True)
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield relay.server_port
        finally:
            relay.shutdown()
            thread.join()


def test_tls_is_verified(clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path / "trusted")
    another = Certificate.make(tmp_path / "another", names="DNS:somebody.example")
    with by_tls(clickhouse, certificate) as port:
        plain = access(f"clickhouse+https://guarded@127.0.0.1:{port}/default", PASSWORD)
        with pytest.raises(StoreError, match=r"certificate .* is not trusted.*--store-ca-file"):
            Connection(plain).server()
        trusting = Connection(plain._replace(ca_file=certificate.cert_file))
        assert trusting.value("SELECT currentUser()") == "guarded"
        trusting.close()
    with by_tls(clickhouse, another) as port:
        other = access(f"clickhouse+https://guarded@127.0.0.1:{port}/default", PASSWORD)
        with pytest.raises(StoreError, match="is not trusted"):
            Connection(other._replace(ca_file=another.cert_file)).server()


def test_goes_on_when_the_server_is_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    with clickhouse_server(tmp_path_factory.mktemp("back")) as server:
        connection = Connection(access(server.url()))
        assert connection.value("SELECT 1") == 1
        server.kill()
        with pytest.raises(StoreBusyError, match="cannot be reached"):
            connection.value("SELECT 1")
        server.start()
        assert connection.value("SELECT 1") == 1
        connection.close()
