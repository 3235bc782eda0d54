"""What becomes of rendered pages: no script inside of them, nothing that nobody asks for, and every address checked.

The policy of ``/help`` allows scripts from files alone, as the dashboard's does.
"""

import posixpath
import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote

_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_BASE: Final = re.compile(r'"base":"([./]+)"')
_SCRIPTS: Final = "assets/javascripts"
# The theme and the mark that are not used, what is for search engines, and a page whose addresses hold at a root alone.
_UNASKED: Final = (
    "assets/stylesheets/classic", "assets/images/favicon.png", "sitemap.xml", "sitemap.xml.gz", "objects.inv",
    "404.html",
)  # fmt: skip
# What a browser fetches by itself, or a policy forbids.
_LOADS: Final = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "audio": "src"}
_ELSEWHERE: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


def finish(site: Path) -> None:
    """Make the rendered pages ready to be served. Raises ``LookupError`` if a page does not say where its root is."""
    for name in _UNASKED:
        unasked = site / name
        if unasked.is_dir():
            shutil.rmtree(unasked)
        else:
            unasked.unlink(missing_ok=True)
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        page.write_text(_with_scripts_apart(text, site), encoding="utf-8")


def _with_scripts_apart(text: str, site: Path) -> str:
    base = _BASE.search(text)
    if base is None:
        raise LookupError("a rendered page has no configuration with its base")

    def apart(script: re.Match[str]) -> str:
        content = script[1].encode()
        name = f"{_SCRIPTS}/inline.{sha256(content).hexdigest()[:8]}.js"
        (site / name).write_bytes(content)
        return f'<script src="{base[1]}/{name}"></script>'

    return _INLINE.sub(apart, text)


class _Page(HTMLParser):
    """What one page has and points at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.anchors.update(has[name] for name in ("id", "name") if name in has)
        if tag == "a" and "href" in has:
            self.links.append(has["href"])
        if tag in _LOADS and _LOADS[tag] in has:
            self.loads.append(has[_LOADS[tag]])
        if tag == "style" or (tag == "script" and "src" not in has and has.get("type") != "application/json"):
            self.faults.append(f"has an inline {tag}")
        self.faults += [f"has {name} on a {tag}" for name in has if name == "style" or name.startswith("on")]


def faults(site: Path) -> list[str]:
    """What is wrong with the pages: addresses that lead nowhere, and what no strict policy lets pass."""
    pages = {
        path.relative_to(site).as_posix(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    return [f"{name} {fault}" for name, page in sorted(pages.items()) for fault in _faults(name, page, pages, site)]


def _faults(name: str, page: _Page, pages: dict[str, _Page], site: Path) -> Iterator[str]:
    yield from page.faults
    for address in page.loads:
        if _ELSEWHERE.match(address):
            yield f"would fetch {address}"
        elif not address.startswith("data:") and not (site / _target(name, address)[0]).is_file():
            yield f"needs {address}, which is not there"
    for address in page.links:
        if _ELSEWHERE.match(address) or address.startswith(("mailto:", "/")):
            continue
        target, anchor = _target(name, address)
        if target not in pages:
            if not (site / target).is_file():
                yield f"links to {address}, which is not there"
        elif anchor and anchor not in pages[target].anchors:
            yield f"links to {address}, but {target} has no such anchor"


def _target(name: str, address: str) -> tuple[str, str]:
    """The file, from the site's root, and the anchor of an address on a page."""
    path, _, anchor = address.partition("#")
    path = unquote(path.partition("?")[0])
    target = name if not path else posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    return posixpath.join(target, "index.html") if path.endswith("/") or target == "." else target, unquote(anchor)
