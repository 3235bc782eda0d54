"""The documentation below ``/help/``, from files: it is as large as the dashboard and seldom asked for, so memory does
not keep it. Texts lie packed there (``.gz``) and go out as they are to every browser of today.

Links in it are relative, so it works below any prefix; ``/help`` leads to ``/help/`` by a relative address, too.
"""

import gzip
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from llm_metrics_proxy.api.codings import IDENTITY, choose
from llm_metrics_proxy.api.conditional import has_it
from llm_metrics_proxy.metrics_service import APP_VERSION

if TYPE_CHECKING:
    from fastapi import FastAPI

ROOT: Final = "/help"
PREFIX: Final = f"{ROOT}/"  # all below is answered without a token: it shows no record and no number
_INDEX: Final = "index.html"
_PACKED: Final = ".gz"
# As the dashboard's: everything from here alone. The search runs in a worker and brings the style of its dialog in its
# script; a browser that refuses it names its hash, and tests/browser/test_help.py fails.
_STYLE_OF_SEARCH: Final = "'sha256-NwSx/R2V/U4jnW0Tq5pQ53Y/rzPVJ4dqE7D6UTA/J1k='"
CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_STYLE_OF_SEARCH}; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_NOT_THERE: Final = (
    "<!doctype html><title>LLM Metrics Proxy</title><p>There is no such page in the documentation of this version: "
    "<a href='{first}'>search it from its first page</a>."
)
_NOT_BUILT: Final = (
    "<!doctype html><title>LLM Metrics Proxy</title><p>The documentation is not part of this installation: install "
    "a wheel or an sdist, or run <code>make docs</code> in the sources. The API is described at "
    "<a href='../docs'>docs</a>."
)


def find(folder: Path) -> dict[str, Path]:
    """Every file below ``folder`` by the name under which it is asked for; empty where nothing was built."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name.removesuffix(_PACKED): path for name, path in found.items()}


def add_help_routes(app: "FastAPI", pages: Mapping[str, Path]) -> None:
    """``pages`` are those of ``find``."""

    async def to_the_folder() -> Response:
        return RedirectResponse("help/")

    def page(request: Request) -> Response:
        name = request.scope["path"].removeprefix(PREFIX) or _INDEX
        if not pages and name == _INDEX:
            return HTMLResponse(_NOT_BUILT)
        path = pages.get(name)
        try:
            stamp, content = (path.stat().st_mtime_ns, path.read_bytes()) if path is not None else (0, None)
        except FileNotFoundError:  # another version was installed meanwhile
            content = None
        if path is None or content is None:
            return HTMLResponse(_NOT_THERE.format(first="../" * name.count("/") or "./"), 404)
        headers = {
            "Content-Type": mimetypes.guess_type(name)[0] or "application/octet-stream",
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cache-Control": "no-cache",
            "ETag": f'"{APP_VERSION}-{stamp:x}"',
            "Vary": "Accept-Encoding",
        }
        if has_it(request.headers, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        if path.suffix == _PACKED:
            if choose(",".join(request.headers.getlist("accept-encoding")), ["gzip", IDENTITY]) == IDENTITY:
                content = gzip.decompress(content)
            else:
                headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers)

    app.add_api_route(ROOT, to_the_folder, include_in_schema=False, response_class=Response)
    app.add_api_route(f"{PREFIX}{{name:path}}", page, include_in_schema=False, response_class=Response)
