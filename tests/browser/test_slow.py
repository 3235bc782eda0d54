"""A metrics process that is slow to answer is not asked again before it has."""

from playwright.sync_api import Route, expect

from tests.browser.browsing import Visit

STEP_MS = 5000  # of short ranges
PATIENCE = 300  # looks, a tenth of a second apart


def test_questions_wait_for_answers(visit: Visit) -> None:
    page, held, asked, is_slow = visit.page, list[Route](), list[str](), True

    def hold(route: Route) -> None:
        if is_slow:
            held.append(route)
        else:
            route.continue_()

    page.clock.install()
    visit.go("/", range="15m")
    page.on("request", lambda request: asked.append(request.url) if "/api/v1/query" in request.url else None)
    page.route("**/api/v1/query*", hold)
    for _look in range(PATIENCE):
        if held:
            break
        page.clock.run_for(STEP_MS)
        page.wait_for_timeout(100)
    expect(page.locator(".stats")).to_be_visible()
    first = set(asked)
    assert first
    page.clock.run_for(20 * STEP_MS)
    page.wait_for_timeout(300)
    assert set(asked) == first  # however much later it is, nothing else was asked
    is_slow = False
    for route in held:
        route.continue_()
    for _look in range(PATIENCE):
        if set(asked) != first:
            break
        page.clock.run_for(STEP_MS)
        page.wait_for_timeout(100)
    assert set(asked) > first  # once it has answered, it is asked again
