"""Listening sockets: shared by workers, refused to strangers, and clear about why."""

import contextlib
import re
import select
import socket
import subprocess
import sys

import pytest

from llm_metrics_proxy.errors import LlmMetricsProxyError, PortInUseError
from llm_metrics_proxy.listening import listen


def close(groups: list[list[socket.socket]]) -> None:
    for group in groups:
        for member in group:
            member.close()


def test_every_worker_gets_a_socket_of_its_own_on_one_port() -> None:
    groups = listen("127.0.0.1", 0, sockets=3)
    try:
        members = [member for group in groups for member in group]
        assert len({member.getsockname() for member in members}) == 1
        assert len({member.fileno() for member in members}) == 3
        with contextlib.ExitStack() as clients:
            for _ in range(60):
                clients.enter_context(socket.create_connection(members[0].getsockname(), timeout=5))
            ready, _, _ = select.select(members, [], [], 5)
        assert len(ready) == 3
    finally:
        close(groups)


def test_a_port_that_is_taken_names_the_program_that_has_it() -> None:
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        with pytest.raises(PortInUseError) as caught:
            listen("127.0.0.1", port, sockets=2)
        other.communicate(b"\n")
    words = (
        rf"127\.0\.0\.1:{port} is in use by pid {other.pid} \(python.*\): stop it or choose another port with --port"
    )
    assert re.fullmatch(words, str(caught.value))


def test_a_port_that_shares_itself_is_taken_all_the_same() -> None:
    groups = listen("127.0.0.1", 0, sockets=2)
    try:
        port = groups[0][0].getsockname()[1]
        with pytest.raises(PortInUseError, match=f"127.0.0.1:{port} is in use.*--metrics-port"):
            listen("127.0.0.1", port, sockets=2, flag="--metrics-port")
        with pytest.raises(PortInUseError):
            listen("0.0.0.0", port)
    finally:
        close(groups)


def test_a_port_whose_connections_linger_is_free() -> None:
    groups = listen("127.0.0.1", 0)
    address = groups[0][0].getsockname()
    with socket.create_connection(address) as client:
        connection, _ = groups[0][0].accept()
        connection.close()  # the side that closes first keeps the port in TIME_WAIT
        client.recv(1)
    close(groups)
    close(listen("127.0.0.1", address[1], sockets=2))


def test_a_name_with_two_addresses_is_listened_on_at_both() -> None:
    expected = {family for family, *_ in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    if not socket.has_ipv6:
        expected.discard(socket.AF_INET6)
    groups = listen("localhost", 0, sockets=2)
    try:
        assert {member.family for member in groups[0]} <= expected
        assert len({member.getsockname()[1] for group in groups for member in group}) == 1
    finally:
        close(groups)


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "this machine has no such address"), ("no-such-host.invalid", "cannot listen on no-such-host")],
)
def test_an_address_that_is_not_here_is_refused_clearly(host: str, reason: str) -> None:
    with pytest.raises(LlmMetricsProxyError, match=reason):
        listen(host, 8001)
