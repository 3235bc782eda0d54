"""A page of the dashboard, and what it must never do while it is looked at."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Route, ViewportSize, expect

from llm_metrics_proxy.api.site import VIEW_PATHS

VIEWS: Final = VIEW_PATHS
THEMES: Final = ("light", "dark", "terminal")
PATIENCE_MS: Final = 30_000
DESKTOP: Final[ViewportSize] = {"width": 1440, "height": 1000}
NARROW: Final[ViewportSize] = {"width": 320, "height": 640}  # a desk's 1280 at 400 % (WCAG 2.2, 1.4.10)
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
# What the page's policy forbids is told to the page itself; kept there until the test asks.
_LISTEN: Final = """
globalThis.forbidden = [];
addEventListener("securitypolicyviolation", (event) => {
  forbidden.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Visit:
    """A page with a memory: ``problems`` is all that should not have happened."""

    def __init__(self, context: BrowserContext, base: str, tolerates: Callable[[str], bool] = lambda _: False) -> None:
        self.base = base
        self.problems: list[str] = []
        self.requested: list[str] = []
        self._tolerates = tolerates
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_LISTEN)
        context.route(lambda url: urlsplit(url).netloc != urlsplit(base).netloc, self._elsewhere)
        self.page: Page = context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self._problem(f"error: {error}"))
        self.page.on("request", self._asked)

    def go(self, path: str, **search: str) -> Page:
        """Open a view and wait until nothing on it loads any more."""
        self.page.goto(self.base + path + (f"?{urlencode(search)}" if search else ""))
        return self.settled()

    def settled(self) -> Page:
        """Wait until nothing on the page loads any more."""
        expect(self.page.locator("h1")).to_be_visible()
        expect(self.page.locator(".main :is(.card, .lead)").first).to_be_visible()
        expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        return self.page

    def speak(self, language: str) -> Page:
        """Choose the page's language where it is, which costs no load; on a page that is wide enough to have room."""
        self.page.locator(".preferences select").nth(1).select_option(language)
        expect(self.page.locator(f"html[lang={language}]")).to_be_attached()
        return self.settled()

    def assert_blameless(self) -> None:
        """No error, no request elsewhere, nothing that the policy forbids."""
        found = [*self.problems, *self.page.evaluate("globalThis.forbidden")]
        assert not found, "\n".join(found)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._problem(f"console: {message.text} {message.location.get('url', '')}")

    def _problem(self, text: str) -> None:
        if not self._tolerates(text):
            self.problems.append(text)

    def _asked(self, request: Request) -> None:
        self.requested.append(urlsplit(request.url).path)

    def _elsewhere(self, route: Route) -> None:
        if route.request.url.startswith(("data:", "blob:")):
            route.continue_()
            return
        self.problems.append(f"asked another host: {route.request.url}")
        route.abort()


# A new size or language is drawn in the next frames, on a busy machine not in the first of them.
_OVERFLOW: Final = """async () => {
  const { documentElement: all } = document;
  for (let frame = 0; frame < 60; frame += 1) {
    await new Promise(requestAnimationFrame);
    if (frame > 0 && all.scrollWidth === all.clientWidth) return 0;
  }
  return all.scrollWidth - all.clientWidth;
}"""


def overflow_px(page: Page) -> int:
    """How far the page reaches beyond its right edge, when it has come to rest."""
    found: int = page.evaluate(_OVERFLOW)
    return found


# What reaches beyond the edge, or has to be scrolled sideways, and is no table: those need their columns.
_SIDEWAYS: Final = """() => {
  const edge = document.documentElement.clientWidth;
  const unseen = ".visually-hidden, .skip, dialog:not([open]), details:not([open]) > div";
  const inTable = (one) => one.closest(".scroll, .requests") !== null;
  const said = (one) => `${one.tagName.toLowerCase()}.${one.className} ${(one.textContent ?? "").slice(0, 40)}`;
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    if (inTable(one) || one.closest(unseen)) return false;
    const style = getComputedStyle(one);
    const scrolls = ["auto", "scroll"].includes(style.overflowX) && one.scrollWidth > one.clientWidth;
    const box = one.getBoundingClientRect();
    return scrolls || (box.width > 0 && (box.right > edge + 0.5 || box.left < -0.5) && style.display !== "inline");
  });
  return wide.map(said);
}"""


def sideways(page: Page) -> list[str]:
    """Everything that whoever sees only the page's width would miss."""
    found: list[str] = page.evaluate(_SIDEWAYS)
    return found
