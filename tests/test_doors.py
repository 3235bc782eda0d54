"""Names and web pages that may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.doors import HostRule, OriginRule, PageAccess, host_name, is_loopback, is_same_origin, origin

OURS = [
    "localhost", "LOCALHOST:8001", "localhost.", "localhost:", "127.0.0.1", "127.0.0.1:8001", "127.9.8.7", "[::1]",
    "[::1]:8001", " localhost ", "[0:0:0:0:0:0:0:1]:1", "[::ffff:127.0.0.1]:8001",
]  # fmt: skip
STRANGERS = [
    "evil.example", "evil.example:8001", "localhost.evil.example", "evil-localhost", "notlocalhost", "127.0.0.1.nip.io",
    "127.0.0.1.evil.example", "", ":8001", "localhost:80:80", "localhost, evil.example", "localhost evil.example",
    "u@localhost", "localhost/", "localhost#", "[127.0.0.1]", "::1", "[::1", "127.1", "0x7f.0.0.1", "2130706433",
    "127.0.0.1..", "[::1].evil.example", "loc\u0430lhost",
]  # fmt: skip
ADDRESSES = ["10.0.0.7", "0.0.0.0:8001", "[2001:db8::1]:8001", "[::]"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_names_that_public_dns_does_not_have_are_good_where_they_may_be() -> None:
    rule = HostRule([], any_address=False, any_local_name=True)
    good = ["x", "llm_backend", "ollama:8001", "My-Machine", "notlocalhost", "evil-localhost", "2130706433"]
    assert [host for host in good if not rule.admits(host)] == []
    assert [host for host in [*STRANGERS, *ADDRESSES] if host not in good and rule.admits(host)] == []


@pytest.mark.parametrize("any_address", [True, False])
def test_this_machines_own_names_are_good_and_strangers_are_not(any_address: bool) -> None:
    rule = HostRule([], any_address=any_address)
    assert [host for host in OURS if not rule.admits(host)] == []
    assert [host for host in STRANGERS if rule.admits(host)] == []
    assert [rule.admits(host) for host in ADDRESSES] == [any_address] * len(ADDRESSES)


@pytest.mark.parametrize(
    ("names", "good", "bad"),
    [
        (["llm.lan"], ["llm.lan", "LLM.LAN:8001", "llm.lan."], ["x.llm.lan", "lan", "llm.lan.evil.example"]),
        (["*.lan"], ["a.lan", "a.b.lan:1"], ["lan", ".lan.evil.example", "a-lan", "10.0.0.7"]),
        (["*"], ["evil.example", "10.0.0.7"], []),
        (["10.0.0.7"], ["10.0.0.7:80"], ["10.0.0.8", "x.10.0.0.7"]),
        (["[2001:DB8::1]"], ["[2001:db8:0:0:0:0:0:1]:8001"], ["[2001:db8::2]"]),
    ],
)
def test_names_of_the_settings(names: list[str], good: list[str], bad: list[str]) -> None:
    rule = HostRule(map(host_name, names), any_address=False)
    assert [host for host in good if not rule.admits(host)] == []
    assert [host for host in bad if rule.admits(host)] == []


@pytest.mark.parametrize(
    "text", ["", "a b", "http://a", "a:80", "a/", "*a.lan", "a.*", "**.lan", "-*", "a..b", "é.lan"]
)
def test_what_is_no_name_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        host_name(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://Chat.Example.com/", "https://chat.example.com"),
        ("https://a.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("chrome-extension://*", "chrome-extension://*"),
        ("file://", "file://"),
        ("null", "null"),
        ("*", "*"),
        ("https://*.a.example:*", "https://*.a.example:*"),
        ("http://[2001:DB8::1]:3000", "http://[2001:db8::1]:3000"),
    ],
)
def test_origins_are_written_as_browsers_send_them(text: str, written: str) -> None:
    assert origin(text) == written


@pytest.mark.parametrize(
    "text",
    ["", "a.example", "https://", "https://a.example/path", "https://a?b", "https://a.example#x", "://a", "https:/a",
     "https://u@a.example", "https://a.*", "https://a*.example", "https://a.example:x", "https://:80", "a b", "*.a"],
)  # fmt: skip
def test_what_is_no_origin_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="not an origin"):
        origin(text)


CREDENTIALS, PLAIN, ANYONE, NONE = PageAccess.CREDENTIALS, PageAccess.PLAIN, PageAccess.ANYONE, PageAccess.NONE


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (
            [],
            {
                "http://localhost": PLAIN, "http://localhost:3000": PLAIN, "https://127.0.0.1:5173": PLAIN,
                "http://[::1]:3000": PLAIN, "http://tauri.localhost": PLAIN, "HTTP://LOCALHOST:3000": PLAIN,
                "https://evil.example": NONE, "http://localhost.evil.example": NONE, "null": NONE, "": NONE,
                "file://": NONE, "app://obsidian.md": NONE, "chrome-extension://abc": NONE, "tauri://localhost": NONE,
                "ftp://localhost": NONE, "localhost": NONE, "http://localhost,http://evil.example": NONE,
                "http://localhost http://evil.example": NONE, "http://u@localhost": NONE, "http://localhost/": NONE,
                "http://10.0.0.7": NONE, "http://127.0.0.1.nip.io": NONE,
            },
        ),
        (
            ["https://chat.example"],
            {
                "https://chat.example": CREDENTIALS, "https://CHAT.example": CREDENTIALS, "http://chat.example": NONE,
                "https://chat.example:8443": NONE, "https://x.chat.example": NONE, "https://chat.example.evil": NONE,
                "https://chatxexample": NONE, "https://chat.example.": NONE, "http://localhost:3000": PLAIN,
            },
        ),
        (
            ["https://*.chat.example"],
            {
                "https://a.chat.example": CREDENTIALS, "https://a.b.chat.example": CREDENTIALS,
                "https://chat.example": NONE, "https://.chat.example": NONE, "https://evilchat.example": NONE,
                "https://evil.example/.chat.example": NONE, "https://u@a.chat.example": NONE,
                "https://a.chat.example:444": NONE,
            },
        ),
        (["http://10.0.0.7:*"], {"http://10.0.0.7": CREDENTIALS, "http://10.0.0.7:3000": CREDENTIALS,
                                 "http://10.0.0.70": NONE, "https://10.0.0.7": NONE}),
        (["chrome-extension://*", "app://*", "vscode-webview://*", "file://"],
         {"chrome-extension://abcdefghijklmnop": CREDENTIALS, "app://obsidian.md": CREDENTIALS,
          "vscode-webview://1a2b": CREDENTIALS, "file://": CREDENTIALS, "moz-extension://a": NONE,
          "https://app.example": NONE}),
        (["null"], {"null": PLAIN, "https://evil.example": NONE}),
        (["*"], {"null": ANYONE, "https://evil.example": ANYONE, "http://localhost": PLAIN, "": ANYONE}),
        (["*", "https://a.example"], {"https://a.example": CREDENTIALS, "https://b.example": ANYONE}),
    ],
)  # fmt: skip
def test_pages(listed: list[str], expected: dict[str, PageAccess]) -> None:
    rule = OriginRule(map(origin, listed))
    assert {page: rule.access(page) for page in expected} == expected


@pytest.mark.parametrize(
    ("page", "host", "same"),
    [
        ("http://llm.lan:8001", "llm.lan:8001", True),
        ("http://LLM.lan:8001", "llm.LAN:8001", True),
        ("https://llm.example", "llm.example", True),
        ("https://llm.example", "llm.example:443", True),
        ("http://llm.example", "llm.example:80", True),
        ("http://[::1]:8001", "[::1]:8001", True),
        ("http://llm.lan:3000", "llm.lan:8001", False),
        ("http://llm.lan", "llm.lan:8001", False),
        ("https://evil.example", "llm.example", False),
        ("app://llm.lan", "llm.lan", False),
        ("null", "null", False),
        ("", "", False),
    ],
)
def test_a_page_of_the_server_itself(page: str, host: str, same: bool) -> None:
    assert is_same_origin(page, host) is same


@given(st.text(), st.text())
def test_nothing_raises_and_no_stranger_gets_in(host: str, page: str) -> None:
    if HostRule([], any_address=False).admits(host):
        name = host.strip().lower().rsplit(":", 1)[0].strip("[]")
        assert "localhost" in name or is_loopback(name) or "[" in host
    assert OriginRule([]).access(page) in {PageAccess.NONE, PageAccess.PLAIN}
    is_same_origin(page, host)
