"""The dashboard's files, served from memory: a page for every view, and assets that browsers may keep forever.

The page uses relative addresses, so it works below any prefix: every view is one step below the program's root, which
is then the page's folder. Only the root has two addresses behind a reverse proxy, ``/llm/`` and ``/llm``; its page adds
the slash before it requests anything.

Assets are named by their content, so a new build has new names; the page itself is never cached. Assets are compressed
once, when they are built (``.br`` and ``.gz`` next to each), not per request.
"""

import mimetypes
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from llm_metrics_proxy.api.codings import IDENTITY, choose
from llm_metrics_proxy.api.conditional import has_it

if TYPE_CHECKING:
    from fastapi import FastAPI

INDEX: Final = "index.html"
ASSETS: Final = "assets/"
# Where views live in the address bar. A reload there must give the page; all else stays 404.
VIEW_PATHS: Final = (
    "/", "/models", "/clients", "/streaming", "/not-streamed", "/errors", "/requests", "/sessions", "/costs",
    "/explore", "/servers", "/limits", "/versions", "/settings",
)  # fmt: skip
ROOT: Final = VIEW_PATHS[0]
_SLASH: Final = (
    'let u=new URL(document.URL);u.pathname.endsWith("/")||(u.pathname+="/",history.replaceState(null,"",u.href))'
)
_SLASH_HASH: Final = b64encode(sha256(_SLASH.encode()).digest()).decode()
# Scripts and styles from here alone, plus the line above; charts are drawn on a canvas and saved as blobs; nothing
# may frame the page.
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; script-src 'self' 'sha256-{_SLASH_HASH}'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS: Final = {".ts": "text/plain; charset=utf-8"}  # TypeScript; elsewhere it is a film's name
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_BUILT: Final = (
    "<!doctype html><title>LLM Metrics Proxy</title><p>The dashboard is not part of this installation: install "
    "a wheel or an sdist, or run <code>make dashboard</code> in the sources. The API is described at "
    "<a href='docs'>docs</a>."
)


class Asset(NamedTuple):
    """One file in each of its codings; ``identity`` is always there."""

    media_type: str
    etag: str
    codings: Mapping[str, bytes]


class Site(Mapping[str, Asset]):
    """Every file below a folder by its path; empty where nothing was built. Names are looked up at once, for the guard
    lets everybody ask for them; contents, some 3 MB, are read all together when the first is asked for, so that a page
    never gets scripts of another build."""

    def __init__(self, folder: Path) -> None:
        """Raises ``OSError``."""
        self._files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, name: str) -> Asset:
        """Raises ``OSError`` where the files have gone since."""
        return self._assets[name]

    @cached_property
    def _assets(self) -> dict[str, Asset]:
        return {name: _read(path) for name, path in self._files.items()}


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.suffix not in {".br", ".gz"}:
            yield path


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    codings = {IDENTITY: content}
    for coding, suffix in (("br", ".br"), ("gzip", ".gz")):
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            codings[coding] = packed.read_bytes()
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(kind, _etag(content), codings)


def _etag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()[:16]}"'


def of_root(index: Asset) -> Asset:
    """The page for the root: with the slash that its address may lack."""
    content = index.codings[IDENTITY].replace(b"<head>", f"<head><script>{_SLASH}</script>".encode(), 1)
    return Asset(index.media_type, _etag(content), {IDENTITY: content})


def coding_for(accepted: str, asset: Asset) -> str:
    """The coding that the header Accept-Encoding prefers; of equals, the smallest."""
    return choose(accepted, sorted(asset.codings, key=lambda name: len(asset.codings[name])))


def add_site_routes(app: "FastAPI", site: Mapping[str, Asset]) -> None:
    """Last of all routes: what nothing else answers."""
    index = site.get(INDEX)
    root = None if index is None else of_root(index)

    def file(name: str, asset: Asset | None, request: Request) -> Response:
        if asset is None:
            return HTMLResponse(_NOT_BUILT)
        coding = coding_for(",".join(request.headers.getlist("accept-encoding")), asset)
        headers = {
            "Content-Type": asset.media_type,
            "Cache-Control": _FOR_EVER if name.startswith(ASSETS) else "no-cache",
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
        }
        if name == INDEX:
            headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        if has_it(request.headers, asset.etag):
            return Response(status_code=304, headers=headers)
        if coding != IDENTITY:
            headers["Content-Encoding"] = coding
        return Response(asset.codings[coding], headers=headers)

    async def page(request: Request) -> Response:
        return file(INDEX, root if request.scope["path"] == ROOT else index, request)

    async def asset(request: Request) -> Response:
        name = request.scope["path"].removeprefix("/")
        return file(name, site[name], request)

    for path in VIEW_PATHS:
        app.add_api_route(path, page, include_in_schema=False, response_class=Response)
    for name in site:
        if name != INDEX:
            app.add_api_route(f"/{name}", asset, include_in_schema=False, response_class=Response)
