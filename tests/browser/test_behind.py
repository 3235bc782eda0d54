"""Behind a real nginx, below any prefix, without a setting: views, sign-in, live events, links, files, pictures."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from playwright.sync_api import expect

from tests.browser.behind import behind_nginx
from tests.browser.browsing import VIEWS
from tests.browser.conftest import LAN_NAME, Open
from tests.browser.records import a_day, write
from tests.browser.served import served

TOKEN: Final = "a-token-of-this-test"
GUIDE: Final = Path(__file__).parents[2] / "docs" / "howto" / "behind-a-reverse-proxy.md"
_OPEN: Final = "127.0.0.1:8002"  # as the guide has it
# Below a name that a view has, too, and without the slash: the first of these makes paths like //models.
_LOCATIONS: Final = f"""
location /deep/down/models/ {{ proxy_pass http://{_OPEN}/; }}
location /bare {{ proxy_pass http://{_OPEN}/; }}
location /cut {{ rewrite ^/cut/?(.*)$ /$1 break; proxy_pass http://{_OPEN}; }}
location /nameless/ {{ proxy_pass http://GUARDED/; }}
location /guarded/ {{ proxy_pass http://GUARDED/; proxy_set_header Host $http_host; }}
location /other/ {{ proxy_pass http://GUARDED/; proxy_set_header Host $http_host; }}
"""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx's address; one metrics process behind it is open, the other wants ``TOKEN``."""
    plain, guarded, folder = (tmp_path_factory.mktemp(name) for name in ("open", "guarded", "nginx"))
    write(plain / "metrics.db", a_day(300, datetime.now(UTC)))
    write(guarded / "metrics.db", a_day(50, datetime.now(UTC)))
    with served(plain) as first, served(guarded, token=TOKEN) as second:
        (shown,) = re.findall(r"```nginx\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
        locations = (shown + _LOCATIONS).replace(_OPEN, urlsplit(first).netloc)
        with behind_nginx(folder, locations.replace("GUARDED", urlsplit(second).netloc)) as address:
            yield address


def refused(text: str) -> bool:
    """What Chromium says of an answer that is meant to refuse."""
    return "401" in text


@pytest.mark.parametrize("prefix", ["/deep/down/models", "/bare"])
def test_every_view_is_reached_by_clicks_and_again_by_its_link(open_at: Open, front: str, prefix: str) -> None:
    visit = open_at(front + prefix)
    page = visit.go("/", range="all")
    for path in VIEWS:
        page.locator(f'.nav a[href^="{prefix}{path}?"]').click()
        expect(page.locator(f'.nav a[aria-current=page][href^="{prefix}{path}"]')).to_be_visible()
        visit.settled()
        assert urlsplit(page.url).path == prefix + path
        heading = page.locator("h1").inner_text()
        page.reload()
        visit.settled()
        assert page.locator("h1").inner_text() == heading
    assert visit.requested
    assert not [path for path in visit.requested if not path.startswith(f"{prefix}/")]


@pytest.mark.parametrize("prefix", ["/llm", "/deep/down/models", "/bare", "/cut"])
def test_a_prefix_without_its_slash_is_the_same_page(open_at: Open, front: str, prefix: str) -> None:
    """nginx sends some of them on; of the others a browser may have guessed at parts before the slash was there."""
    visit = open_at(front + prefix, tolerates=lambda text: "404" in text and f"{front}/assets/" in text)
    page = visit.go("", range="all", model="gpt-4o-mini")
    expect(page.locator(".chip")).to_contain_text("gpt-4o-mini")
    assert urlsplit(page.url).path == f"{prefix}/"
    page.get_by_role("link", name="Models").click()
    expect(page.locator(".compared").first).to_be_visible()
    assert urlsplit(page.url).path == f"{prefix}/models"


def test_live_events_files_pictures_reports_and_commands(open_at: Open, front: str) -> None:
    page = open_at(f"{front}/llm", permissions=["clipboard-read", "clipboard-write"]).go("/requests", range="30d")
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    page.get_by_text("Export all").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="csv").click()
    assert saved.value.path().read_bytes().startswith(b"arrival,")
    page.get_by_text("Export all").click()
    page.get_by_role("button", name="Copy as curl").click()
    command = page.evaluate("navigator.clipboard.readText()")
    (address,) = re.findall("'(.*)'", command)
    assert address.startswith(f"{front}/llm/api/v1/requests?")
    with urlopen(address, timeout=30) as answer:
        assert answer.status == 200
    page.locator(".requests .body .link").first.click()
    expect(page.locator("dialog .facts")).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Report").click()
    expect(opened.value.locator("h1")).to_be_visible()
    assert opened.value.url.startswith(f"{front}/llm/api/v1/report?")
    page.get_by_role("link", name="Overview").click()
    card = page.locator(".card", has=page.get_by_role("heading", name="Requests by outcome"))
    card.get_by_label("Requests by outcome: more").click()
    with page.expect_download() as picture:
        card.get_by_role("button", name="Save image").click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")


def test_the_page_of_the_api_leads_to_its_document(open_at: Open, front: str) -> None:
    visit = open_at(f"{front}/llm")
    visit.page.goto(f"{front}/llm/docs")
    with visit.page.expect_response("**/openapi.json") as found:
        visit.page.get_by_role("link", name="openapi.json").click()
    assert (found.value.status, found.value.url) == (200, f"{front}/llm/openapi.json")


def test_signing_in_and_out_stays_below_the_prefix(open_at: Open, front: str) -> None:
    visit = open_at(f"{front}/guarded", tolerates=refused)
    page = visit.page
    page.goto(f"{front}/guarded/models?range=all")
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".compared").first).to_be_visible()
    (cookie,) = page.context.cookies()
    assert cookie["path"] == "/guarded"  # no other site of this host is shown it
    page.reload()
    visit.settled()
    page.get_by_role("link", name="Requests").click()
    expect(page.locator(".requests .body .tr").first).to_be_visible()
    page.goto(f"{front}/other/")
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    page.goto(f"{front}/guarded/models?range=all")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert page.context.cookies() == []


def test_in_a_network_without_tls_and_without_its_name_it_lets_people_in(open_at: Open, front: str) -> None:
    """nginx's own Host is the metrics port's address, and of such a page browsers send no Sec-Fetch-Site."""
    address = front.replace("127.0.0.1", LAN_NAME)
    visit = open_at(f"{address}/nameless", tolerates=refused)
    page = visit.page
    page.goto(f"{address}/nameless/models?range=all")
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.keyboard.press("Enter")
    visit.settled()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_visible()
    assert page.context.cookies() == []
