"""Which addresses are asked unless a setting says so."""

import pytest

from llm_metrics_proxy.servers.local import is_local, is_this_machine
from llm_metrics_proxy.servers.targets import target


@pytest.mark.parametrize(
    ("url", "local", "here"),
    [
        ("http://127.0.0.1:8000", True, True), ("http://localhost:11434", True, True),
        ("http://[::1]:8000", True, True),
        ("http://ollama:11434", True, False), ("http://192.168.1.7:8000", True, False),
        ("http://10.2.3.4", True, False), ("http://[fd00::1]:80", True, False), ("http://gpu.lan:8000", True, False),
        ("http://vllm.ns.svc.cluster.local:8000", True, False), ("http://host.docker.internal:8000", True, True),
        ("https://api.openai.com", False, False), ("http://8.8.8.8", False, False),
        ("http://[2001:4860:4860::8888]", False, False), ("http://[::ffff:8.8.8.8]", False, False),
        ("http://local.example.com", False, False),
    ],
)  # fmt: skip
def test_an_address_is_near_or_far(url: str, local: bool, here: bool) -> None:
    assert (is_local(url), is_this_machine(url)) == (local, here)


@pytest.mark.parametrize(
    ("url", "own", "setting", "asked", "why"),
    [
        ("http://box:1", None, "local", True, None), ("https://api.x.com", None, "local", False, "remote"),
        ("https://api.x.com", None, "all", True, None), ("https://api.x.com", True, "local", True, None),
        ("http://box:1", False, "local", False, "off"), ("http://box:1", None, "off", False, "off"),
        ("http://box:1", True, "off", True, None), ("https://api.x.com", False, "local", False, "off"),
    ],
)  # fmt: skip
def test_the_backend_s_own_key_counts_before_the_setting(
    url: str, own: bool | None, setting: str, asked: bool, why: str | None
) -> None:
    found = target("box", url, None, own, setting)
    assert (found.asked, found.why) == (asked, why)
