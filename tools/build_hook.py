"""What pip, build and uv call before they pack: wheels and sdists carry the dashboard and the documentation, built.

A git checkout has its sources alone, so it is built there, with Node from a wheel as a build dependency and npm's
packages by the committed lock. An sdist carries it built: installing from one needs neither. What `make` has built is
taken as it is unless a source is newer. ``BUILD_WITHOUT_DASHBOARD=1`` leaves both out. The documentation is rendered by
Zensical, in the same way.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT: Final = "BUILD_WITHOUT_DASHBOARD"
SITE: Final = "src/llm_metrics_proxy/dashboard/site"
HANDBOOK: Final = "src/llm_metrics_proxy/handbook/site"
_NODE_LOCK: Final = "requirements-node.lock"
_DOCS_LOCK: Final = "requirements-docs.lock"
_NOT_BUILT: Final = f"""\
The dashboard could not be built: the reason stands above. It needs npm's packages (from npm's own registry, or the one
that npm_config_registry or .npmrc names) and Node, which pip installs unless --no-build-isolation is given; then run
`pip install -r {_NODE_LOCK}` first. Three ways on:
  try again where a registry can be reached
  install a wheel or an sdist of this version: both carry the dashboard
  set {WITHOUT}=1 to install all but the dashboard and the documentation"""
_NOT_RENDERED: Final = f"""\
The documentation could not be rendered: the reason stands above. It needs Zensical, which pip installs unless
--no-build-isolation is given; then run `pip install -r {_DOCS_LOCK}` first, or set {WITHOUT}=1."""


class DashboardHook(BuildHookInterface[Any]):
    """For both targets, and for editable installs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node and Zensical, if they will be needed."""
        if _left_out():
            return []
        return [
            *([] if self._dashboard_is_ready() else self._pinned(_NODE_LOCK)),
            *([] if self._handbook_is_ready() else self._pinned(_DOCS_LOCK)),
        ]

    def initialize(
        self,
        version: str,  # noqa: ARG002 -- hatchling's signature
        build_data: dict[str, Any],
    ) -> None:
        """Build them if need be, and have them packed although git ignores them."""
        if _left_out():
            self.app.display_warning(f"{WITHOUT} is set: no dashboard and no documentation are packed")
            return
        root = Path(self.root)
        if not self._dashboard_is_ready():
            script = root / "tools" / "build-dashboard.sh"
            if subprocess.run(["sh", script, sys.executable], check=False).returncode != 0:
                self.app.abort(_NOT_BUILT)
        if not self._handbook_is_ready():
            command = [sys.executable, "-m", "tools.docs_site", "help"]
            if subprocess.run(command, cwd=root, check=False).returncode != 0:
                self.app.abort(_NOT_RENDERED)
        build_data["artifacts"] += [f"/{SITE}", f"/{HANDBOOK}"]

    def _pinned(self, lock: str) -> list[str]:
        lines = (Path(self.root) / lock).read_text(encoding="utf-8").splitlines()
        return [line.rstrip(" \\") for line in lines if "==" in line]

    def _dashboard_is_ready(self) -> bool:
        sources = (path for path in (Path(self.root) / "dashboard").iterdir() if path.name != "node_modules")
        return self._is_ready(Path(self.root) / SITE / "index.html", sources)

    def _handbook_is_ready(self) -> bool:
        root = Path(self.root)
        return self._is_ready(root / HANDBOOK / "index.html.gz", (root / "docs", root / "tools/docs_site"))

    def _is_ready(self, page: Path, sources: Iterable[Path]) -> bool:
        if not page.is_file():
            return False
        if (Path(self.root) / "PKG-INFO").is_file():  # an sdist: unpacked files are as old as the unpacker says
            return True
        files = (file for path in sources for file in (path.rglob("*") if path.is_dir() else (path,)))
        newest = max((file.stat().st_mtime for file in files), default=0.0)
        return page.stat().st_mtime >= newest


def _left_out() -> bool:
    return os.environ.get(WITHOUT, "") not in {"", "0"}
