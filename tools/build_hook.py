"""What pip, build and uv call before they pack: wheels and sdists carry the dashboard, built.

A git checkout has its sources alone, so it is built there, with Node from a wheel as a build dependency and npm's
packages by the committed lock. An sdist carries it built: installing from one needs neither. What `make` has built is
taken as it is unless a source is newer. ``BUILD_WITHOUT_DASHBOARD=1`` leaves it out.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT: Final = "BUILD_WITHOUT_DASHBOARD"
SITE: Final = "src/llm_metrics_proxy/dashboard/site"
_NODE_LOCK: Final = "requirements-node.lock"
_NOT_BUILT: Final = f"""\
The dashboard could not be built: the reason stands above. It needs npm's packages (from npm's own registry, or the one
that npm_config_registry or .npmrc names) and Node, which pip installs unless --no-build-isolation is given; then run
`pip install -r {_NODE_LOCK}` first. Three ways on:
  try again where a registry can be reached
  install a wheel or an sdist of this version: both carry the dashboard
  set {WITHOUT}=1 to install all but the dashboard"""


class DashboardHook(BuildHookInterface[Any]):
    """For both targets, and for editable installs."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, if it will be needed."""
        if _left_out() or self._is_ready():
            return []
        pinned = (Path(self.root) / _NODE_LOCK).read_text(encoding="utf-8").split("\n", 1)[0]
        return [pinned.rstrip(" \\")]

    def initialize(
        self,
        version: str,  # noqa: ARG002 -- hatchling's signature
        build_data: dict[str, Any],
    ) -> None:
        """Build it if need be, and have it packed although git ignores it."""
        if _left_out():
            self.app.display_warning(f"{WITHOUT} is set: no dashboard is packed")
            return
        if not self._is_ready():
            script = Path(self.root) / "tools" / "build-dashboard.sh"
            if subprocess.run(["sh", script, sys.executable], check=False).returncode != 0:
                self.app.abort(_NOT_BUILT)
        build_data["artifacts"].append(f"/{SITE}")

    def _is_ready(self) -> bool:
        root = Path(self.root)
        page = root / SITE / "index.html"
        if not page.is_file():
            return False
        if (root / "PKG-INFO").is_file():  # an sdist: unpacked files are as old as the unpacker says
            return True
        sources = (path for path in (root / "dashboard").iterdir() if path.name != "node_modules")
        files = (file for path in sources for file in (path.rglob("*") if path.is_dir() else (path,)))
        newest = max(file.stat().st_mtime for file in files)
        return page.stat().st_mtime >= newest


def _left_out() -> bool:
    return os.environ.get(WITHOUT, "") not in {"", "0"}
