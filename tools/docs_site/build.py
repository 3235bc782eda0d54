"""Render the site: stage the pages, run Zensical in strict mode, finish and check what it made."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.docs_site.finish import faults, finish
from tools.docs_site.pages import page_of, places
from tools.docs_site.shelves import HOME, arranged

ROOT: Final = Path(__file__).parents[2]
HELP: Final = Path("src/llm_metrics_proxy/handbook/site")  # what the package carries
_MARK: Final = "dashboard/public/favicon.svg"
_CONFIG: Final = Path(__file__).with_name("zensical.toml")
_NAME: Final = "LLM Metrics Proxy"
_VERSION: Final = re.compile(r'^APP_VERSION: Final = "([^"]+)"', re.MULTILINE)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_PACKED: Final = frozenset({".html", ".css", ".js", ".json", ".svg", ".txt", ""})


class SiteError(Exception):
    """The site cannot be made; the message says every reason."""


def version() -> str:
    """That of the program, read from its source as the packager does."""
    found = _VERSION.search((ROOT / "src/llm_metrics_proxy/metrics_service.py").read_text(encoding="utf-8"))
    if found is None:
        raise SiteError("metrics_service.py says no APP_VERSION")
    return found[1]


def build_site(folder: Path) -> Path:
    """The site for the web as ``folder``/VERSION, which is returned; other versions there stay, and are offered."""
    target = folder / version()
    _build(target, _versions_key(), with_pictures=True)
    list_versions(folder)
    return target


def build_help(target: Path = ROOT / HELP) -> Path:
    """What ``/help`` serves: without pictures of the dashboard, which is a click away; its texts are kept packed."""
    with tempfile.TemporaryDirectory(prefix="help-") as made:
        site = Path(made) / "site"
        _build(site, {}, with_pictures=False)
        for path in sorted(site.rglob("*")):
            if path.is_file() and path.suffix in _PACKED:
                # Level and time are fixed: the same pages give the same bytes.
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
                path.unlink()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(site, target)
    return target


def _versions_key() -> dict[str, str]:
    return {"[project.extra]\n": '[project.extra]\nversion.provider = "mike"\n'}


def _build(target: Path, changes: dict[str, str], *, with_pictures: bool) -> None:
    """Into ``target``, anew. Raises ``SiteError``."""
    known = places(ROOT)
    with tempfile.TemporaryDirectory(prefix="docs-") as made:
        stage = Path(made).resolve()
        for source, place in known.items():
            text = (ROOT / source).read_text(encoding="utf-8")
            page = stage / "docs" / place
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(page_of(text, source, known, ROOT, with_pictures=with_pictures), encoding="utf-8")
        (stage / "docs/assets").mkdir()
        shutil.copy(ROOT / _MARK, stage / "docs/assets/mark.svg")
        if with_pictures:
            shutil.copytree(ROOT / "docs/images", stage / "docs/images")
        config = stage / "zensical.toml"
        config.write_text(_config(list(known.values()), changes), encoding="utf-8")
        render(config)
        site = stage / "site"
        finish(site)
        if wrong := faults(site):
            raise SiteError("\n".join(wrong))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(site, target)


def _config(pages: Sequence[str], changes: dict[str, str]) -> str:
    """The settings of Zensical, with what depends on the pages and the version."""
    shelves = ", ".join(f"{{{json.dumps(title)} = {json.dumps(here)}}}" for title, here in arranged(pages))
    lines = (
        "[project]", f"site_name = {json.dumps(f'{_NAME} {version()}')}", 'docs_dir = "docs"', 'site_dir = "site"',
        f'nav = [{{"Home" = "{HOME}"}}, {shelves}]',
    )  # fmt: skip
    text = _CONFIG.read_text(encoding="utf-8").replace("[project]", "\n".join(lines), 1)
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    return text


def render(config: Path) -> None:
    program = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(config)]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(program, cwd=config.parent, env=environment, capture_output=True, text=True, check=False)
    said = _COLOURS.sub("", done.stdout + done.stderr)
    if "No module named zensical" in said:
        raise SiteError("Zensical is not installed: run pip install -r requirements-docs.lock, as make does")
    if done.returncode != 0:
        raise SiteError(f"Zensical ended with {done.returncode}:\n{said}")


def list_versions(folder: Path) -> None:
    """What the choice of versions in the header reads, newest first, and the way from the root to the newest."""
    named = [path.name for path in folder.iterdir() if re.fullmatch(r"\d+\.\d+\.\d+", path.name)]
    found = sorted(named, key=lambda name: tuple(map(int, name.split("."))), reverse=True)
    listed = [{"version": name, "title": name, "aliases": ["latest"] * (name == found[0])} for name in found]
    (folder / "versions.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(
        f'<!doctype html><meta charset="utf-8"><title>{_NAME}</title>'
        f'<meta http-equiv="refresh" content="0; url={found[0]}/index.html">'
        f'<a href="{found[0]}/index.html">{_NAME} {found[0]}</a>\n',
        encoding="utf-8",
    )
