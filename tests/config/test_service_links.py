"""What orchestrators inject for services is told from settings, and from settings that were mistyped."""

import pytest

from llm_metrics_proxy.config.service_links import is_service_link
from llm_metrics_proxy.config.table import rows

PREFIX = "LLM_METRICS_PROXY_"


def kubernetes(service: str, port: int = 8001, protocol: str = "tcp") -> dict[str, str]:
    """What the kubelet sets for a service: its own variables, and those that it took over from Docker."""
    of_port = f"{service}_PORT_{port}_{protocol.upper()}"
    return {
        f"{service}_SERVICE_HOST": "10.0.0.7",
        f"{service}_SERVICE_PORT": str(port),
        f"{service}_SERVICE_PORT_HTTP_PROXY": str(port),
        f"{service}_PORT": f"{protocol}://10.0.0.7:{port}",
        of_port: f"{protocol}://10.0.0.7:{port}",
        f"{of_port}_PROTO": protocol,
        f"{of_port}_PORT": str(port),
        f"{of_port}_ADDR": "10.0.0.7",
    }


def docker(alias: str) -> dict[str, str]:
    """What Docker sets for a link of two ports that follow each other, to a container with settings of its own."""
    of_port = f"{alias}_PORT_8001_TCP"
    return {
        f"{alias}_NAME": "/my-client_1/proxy.a",
        f"{alias}_PORT": "tcp://172.17.0.5:8001",
        f"{alias}_PORT_8001_TCP": "tcp://172.17.0.5:8001",
        f"{of_port}_PROTO": "tcp",
        f"{of_port}_PORT": "8001",
        f"{of_port}_ADDR": "172.17.0.5",
        f"{of_port}_START": "tcp://172.17.0.5:8001",
        f"{of_port}_END": "tcp://172.17.0.5:8002",
        f"{of_port}_PORT_START": "8001",
        f"{of_port}_PORT_END": "8002",
        f"{alias}_ENV_PATH": "/usr/bin:/bin",
        f"{alias}_ENV_USER_NAME": "me",
        f"{alias}_ENV_LLM_METRICS_PROXY_PORT": "8001",
        f"{alias}_ENV_LLM_METRICS_PROXY_METRICS_TOKEN": "",
    }


LINKS = {
    **kubernetes("LLM_METRICS_PROXY"),
    **kubernetes("LLM_METRICS_PROXY_METRICS", 8002, "sctp"),
    **kubernetes("METRICS", 53, "udp"),
    PREFIX + "METRICS_PORT": "tcp://[fd00::7]:8002",
    **docker("LLM_METRICS_PROXY"),
    **docker("LLM_METRICS_PROXY_1"),
    **docker("BACKEND"),
}


@pytest.mark.parametrize(("name", "value"), LINKS.items(), ids=LINKS)
def test_every_form_of_a_link_is_known(name: str, value: str) -> None:
    assert is_service_link(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "8001"),
        ("PORT", "tcp://10.0.0.7"),
        ("PORT", "http://10.0.0.7:8001"),
        ("METRICS_PORT", "8002"),
        ("PROT", "8001"),
        ("BACKEND", "tcp://10.0.0.7:8001"),
        ("HOST", "10.0.0.7"),
        ("METRICS_HOTS", "10.0.0.7"),
        ("SERVICE", "x"),
        ("SERVER_PORT", "8001"),
        ("OTLP_SERVICE_NAME", "proxy"),
        ("OTLP_SERVICE_NAME", "/proxy"),
        ("NAME", "/a/b/c"),
        ("DATA_DIR", "/var/lib/proxy"),
        ("PORTS_8001_TCP", "tcp://10.0.0.7:8001"),
    ],
)
def test_what_a_person_may_have_meant_is_no_link(name: str, value: str) -> None:
    assert not is_service_link(PREFIX + name, value)


def test_no_setting_can_be_taken_for_a_link() -> None:
    for row in rows().values():
        for value in ("8001", "10.0.0.7", "/var/lib/x", "http://127.0.0.1:1", "true"):
            assert not is_service_link(row.environment, value) or row.environment.endswith("_NAME"), row.environment
