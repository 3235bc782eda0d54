"""The page of the API asks from the page itself, reads well on a telephone, and breaks no rule of its own policy."""

import json
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page, expect

from tests.browser.browsing import PHONE, Visit, overflow_px
from tests.browser.conftest import Open
from tests.browser.test_looks import AXE, RULES

LEAST_MEANING_PX: Final = 260  # of a telephone's 390


def form_of(page: Page, path: str) -> Locator:
    return page.locator(f'form[data-path="{path}"]')


def opened(visit: Visit) -> Page:
    visit.page.goto(f"{visit.base}/docs")
    expect(visit.page.locator("h1").first).to_be_visible()
    return visit.page


def test_a_question_is_asked_from_the_page_and_its_answer_shown(visit: Visit) -> None:
    page = opened(visit)
    form = form_of(page, "/api/v1/query")
    form.get_by_text("Parameters", exact=True).click()
    form.get_by_label("metrics").fill("requests")
    form.get_by_label("group_by").fill("model")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".status")).to_contain_text("200 OK")
    expect(form.locator(".status")).to_contain_text("ms · /api/v1/query?metrics=requests&group_by=model")
    answer: dict[str, Any] = json.loads(form.locator("pre").inner_text())
    assert len(answer["rows"]) == 4


def test_a_mistake_is_answered_in_the_api_s_own_words(open_at: Open, site: str) -> None:
    page = opened(open_at(site, tolerates=lambda text: "422" in text))
    form = form_of(page, "/api/v1/query")
    form.get_by_text("Parameters", exact=True).click()
    form.get_by_label("group_by").fill("modle")
    form.get_by_label("group_by").press("Enter")
    expect(form.locator(".status")).to_contain_text("422")
    expect(form.locator("pre")).to_contain_text("model")


def test_a_path_s_own_parameter_and_an_endless_answer_can_be_tried(open_at: Open, site: str) -> None:
    page = opened(open_at(site, tolerates=lambda text: "404" in text))
    form = form_of(page, "/api/v1/requests/{request_id}")
    form.get_by_label("request_id").fill("no/such")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".status")).to_contain_text("404")
    live = form_of(page, "/api/v1/live")
    live.get_by_role("button", name="Send").click()
    expect(live.locator("pre")).to_contain_text("the answer goes on")
    expect(live.locator("pre")).to_contain_text("event: start")


def test_it_is_read_on_a_telephone(open_at: Open, site: str) -> None:
    page = opened(open_at(site, viewport=PHONE))
    assert overflow_px(page) == 0
    form = form_of(page, "/api/v1/export")
    form.get_by_text("Parameters", exact=True).click()
    for meaning in form.locator("dl.values > div > dd:nth-of-type(1)").all():
        box = meaning.bounding_box()
        assert box is not None
        assert box["width"] >= LEAST_MEANING_PX
    form_of(page, "/api/v1/summary").get_by_role("button", name="Send").click()
    expect(form_of(page, "/api/v1/summary").locator("pre")).to_be_visible()
    assert overflow_px(page) == 0


def test_it_violates_no_rule_of_axe(visit: Visit) -> None:
    page = opened(visit)
    page.context.new_page().close()
    # The page's policy lets no other script in: axe comes through the debugger, as a person's extension would.
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": Path(AXE).read_text(encoding="utf-8")})
    told = session.send(
        "Runtime.evaluate",
        {
            "expression": f"axe.run({{ runOnly: {json.dumps(RULES)} }}).then((r) => r.violations.map((v) => v.id))",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    assert told["result"]["value"] == []
