"""Is my box saturated? One click from the Overview, with what the servers say themselves."""

import json
import time
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import ViewportSize, expect

from llm_metrics_proxy.storage.sampled import GPU, SERVER, Gauge, ServerSample
from llm_metrics_proxy.storage.server_samples import SampleStore
from llm_metrics_proxy.storage.sqlite import SqliteStore
from tests.browser.browsing import DESKTOP, NARROW, PHONE, THEMES
from tests.browser.conftest import Open
from tests.browser.served import served
from tests.browser.test_looks import AXE, LANGUAGES, RULES
from tests.servers import pages
from tests.servers.test_poller import page as text_page
from tests.servers.test_poller import serving
from tests.upstream.server import FakeUpstream

_FULL: Final = "0: NVIDIA GeForce RTX 4090"


def samples() -> list[ServerSample]:
    """Half an hour in which requests waited."""
    now = int(time.time()) // 60 * 60
    found = []
    for minute in range(1, 30):
        at, waiting = now - minute * 60, float(minute % 3)
        gauges = {
            "running": Gauge(12, 4, 72, 8, 12),
            "waiting": Gauge(12, 0, 12 * waiting, 2 * waiting, 12 if waiting else 0),
            "kv_cache_ratio": Gauge(12, 0.5, 9.6, 0.97, 3),
            "open_requests": Gauge(12, 1, 60, 9, 12),
        }
        sums = {"generation_tokens": 9000.0, "counted_s": 60.0}
        found.append(ServerSample(60, at, SERVER, "a100", 12, 12, gauges, sums, ("Qwen/Qwen3-8B",)))
        used = {"utilisation_ratio": Gauge(12, 0.5, 9, 0.9, 0), "memory_used_bytes": Gauge(12, 1e10, 12e10, 1e10, 12)}
        memory = {"memory_bytes": Gauge(12, 24e9, 24e9 * 12, 24e9, 12), "power_w": Gauge(12, 300, 3600, 300, 12)}
        found.append(ServerSample(60, at, GPU, _FULL, 12, 12, {**used, **memory}, {}))
    return found


@pytest.fixture(scope="module")
def servers_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A metrics process that asks a vLLM, an Ollama and a llama.cpp without its page; one more is remote."""
    folder = tmp_path_factory.mktemp("servers")
    SqliteStore(folder / "metrics.db").close()
    store = SampleStore(folder / "metrics.db")
    store.add(samples())
    store.close()
    slots = {"/slots": text_page(pages.LLAMA_SLOTS), "/props": text_page(pages.LLAMA_PROPS)}
    with (
        FakeUpstream(serving({"/metrics": text_page(pages.VLLM_V1)})) as vllm,
        FakeUpstream(serving({"/api/ps": text_page(pages.OLLAMA_PS)})) as ollama,
        FakeUpstream(serving(slots)) as llama,
    ):
        named = {"a100": vllm.url, "attic": ollama.url, "desk": llama.url, "far": "https://api.example.com"}
        tables = [f"[[backends]]\nname = {json.dumps(name)}\nurl = {json.dumps(url)}\n" for name, url in named.items()]
        config = folder / "c.toml"
        config.write_text("server_metrics_interval_s = 1\n" + "".join(tables))
        with served(folder, "--config", str(config)) as address:
            yield address


@pytest.fixture(scope="module")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("none")
    with served(folder) as address:
        yield address


def test_whether_a_box_is_saturated_is_one_click_away(open_at: Open, servers_site: str) -> None:
    visit = open_at(servers_site)
    page = visit.go("/", range="1h")
    page.get_by_role("link", name="Servers", exact=True).click()
    box = page.get_by_role("region", name="a100", exact=True).first
    expect(box).to_contain_text("Saturated")
    expect(box).to_contain_text("Requests waited in its queue")
    expect(box).to_contain_text("at most 4 at once")
    expect(box).to_contain_text("KV cache was over 90% full")
    expect(box).to_contain_text("Qwen/Qwen3-8B")
    attic = page.get_by_role("region", name="attic", exact=True).first
    expect(attic).to_contain_text("llama3.2:3b")
    expect(attic).to_contain_text("VRAM")
    desk = page.get_by_role("region", name="desk", exact=True).first
    expect(desk).to_contain_text("Start llama-server with --metrics")
    expect(page.get_by_role("region", name="far", exact=True).first).to_contain_text("Remote servers are not asked")
    row = page.get_by_role("row", name=_FULL)
    expect(row).to_contain_text("75%")
    expect(row).to_contain_text("300 W")


def test_a_chart_is_a_table_too(open_at: Open, servers_site: str) -> None:
    page = open_at(servers_site).go("/servers", range="1h", tz="UTC")
    card = page.get_by_role("region", name="Requests · a100", exact=True)
    card.locator("summary").click()
    card.get_by_role("button", name="Show as table").click()
    table = card.get_by_role("table")
    expect(table.get_by_role("columnheader")).to_have_text(["Time", "Running", "Waiting", "Open at the proxy"])


@pytest.mark.parametrize("size", [DESKTOP, PHONE, NARROW], ids=["desktop", "phone", "narrow"])
def test_it_violates_no_rule_and_needs_no_scrolling_sideways(
    open_at: Open, servers_site: str, size: ViewportSize
) -> None:
    page = open_at(servers_site, viewport=size).go("/servers", range="1h")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in THEMES:
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        found = page.evaluate("(rules) => axe.run({ runOnly: rules }).then((result) => result.violations)", RULES)
        assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_speaks_every_language(open_at: Open, servers_site: str) -> None:
    page = open_at(servers_site).go("/servers", range="1h")
    for language in LANGUAGES:
        page.locator("select:has(option[value=ja])").select_option(language)
        expect(page.locator(f"html[lang={language}]")).to_be_visible()
        expect(page.locator(".server")).to_have_count(4)
        assert "servers." not in page.locator("#content").inner_text()


def test_without_servers_it_says_what_each_needs(open_at: Open, empty_site: str) -> None:
    page = open_at(empty_site).go("/servers", range="1h")
    expect(page.get_by_text("No server is configured.")).to_be_visible()
    expect(page.get_by_role("row", name="llama.cpp")).to_contain_text("--metrics")
