"""A backend's URL, read."""

import pytest

from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.proxy.routing import parse_backend


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "prefix", "host_line", "label"),
    [
        ("http://localhost:11434", "localhost", 11434, False, "", "localhost:11434", "localhost:11434"),
        ("http://127.0.0.1", "127.0.0.1", 80, False, "", "127.0.0.1", "127.0.0.1:80"),
        ("https://api.openai.com/v1", "api.openai.com", 443, True, "", "api.openai.com", "api.openai.com:443"),
        ("https://api.openai.com/v1/", "api.openai.com", 443, True, "", "api.openai.com", "api.openai.com:443"),
        ("https://h:443", "h", 443, True, "", "h", "h:443"),
        ("http://h:443", "h", 443, False, "", "h:443", "h:443"),
        ("https://openrouter.ai/api/v1", "openrouter.ai", 443, True, "/api", "openrouter.ai", "openrouter.ai:443"),
        ("http://h/llm/", "h", 80, False, "/llm", "h", "h:80"),
        ("http://[::1]:8080/x", "::1", 8080, False, "/x", "[::1]:8080", "[::1]:8080"),
        ("HTTP://Example.ORG", "example.org", 80, False, "", "example.org", "example.org:80"),
    ],
)
def test_urls(url: str, host: str, port: int, tls: bool, prefix: str, host_line: str, label: str) -> None:
    backend = parse_backend(url)
    assert (backend.host, backend.port, backend.tls, backend.label) == (host, port, tls, label)
    assert backend.path_prefix == prefix.encode()
    assert backend.host_line == f"Host: {host_line}\r\n".encode()


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:1", "ftp://h", "http://", "http://:80", "http://h:99999", "http://h:x", "http://h:0", "http://u:p@h",
        "http://h?x", "http://h#x", "http://[::1", "http://h/caf\xe9", "http://h\xe9.example", "http://h/a b",
        "http://h ost/", "http://h\r\nX: 1/",
    ],
)  # fmt: skip
def test_urls_that_cannot_be_used_are_refused_in_words(url: str) -> None:
    with pytest.raises(SettingsError, match="backend"):
        parse_backend(url)
