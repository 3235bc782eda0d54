"""One browser and one day of records for all stories here; a context of its own for each."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.browsing import DESKTOP, PATIENCE_MS, Visit
from tests.browser.records import a_day, write
from tests.browser.served import CHROMIUM_FLAGS, chromium_path, served

RECORDS: Final = 3_000
LAN_NAME: Final = "llm.lan"  # of this machine, as others in its network call it: no secure context over plain HTTP
_FLAGS: Final = (*CHROMIUM_FLAGS, "--js-flags=--expose-gc", f"--host-resolver-rules=MAP {LAN_NAME} 127.0.0.1")

Open = Callable[..., Visit]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every story here starts whole processes."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)


# Of the package, not of the session: while it is open there is an event loop in this thread, which other tests need.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium_path(), args=list(_FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a metrics process over a day of traffic that ends now."""
    folder = tmp_path_factory.mktemp("day")
    write(folder / "metrics.db", a_day(RECORDS, datetime.now(UTC)))
    with served(folder) as address:
        yield address


@pytest.fixture
def open_at(browser: Browser) -> Iterator[Open]:
    """``open_at(address)``: a context of its own there. What it must not do is asserted at the end."""
    visits: list[Visit] = []

    def opened(address: str, tolerates: Callable[[str], bool] = lambda _: False, **options: Any) -> Visit:
        given = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
        visits.append(Visit(browser.new_context(**given), address, tolerates))
        return visits[-1]

    yield opened
    for visit in visits:
        visit.assert_blameless()
        visit.page.context.close()


@pytest.fixture
def visit(open_at: Open, site: str) -> Visit:
    """A desktop's page over the day."""
    return open_at(site)
