"""What .dockerignore lets in is enough to build the package, and no more of a folder than that.

The image itself is made by `make try-packages`, as root. Here the same build runs on the same files: the pages of /help
are rendered; the dashboard is taken as it is, since making it takes long and reads its own folder only.
"""

import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parents[1]
SITE: Final = Path("src/llm_metrics_proxy/dashboard/site/index.html")


def rules() -> list[tuple[bool, str]]:
    """Whether a pattern lets in, and the pattern, in their order."""
    lines = [line.strip() for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()]
    return [(line.startswith("!"), line.lstrip("!")) for line in lines if line and not line.startswith("#")]


def matches(pattern: str, path: str) -> bool:
    """As Docker reads them: from the root of the folder, a star stays within a name, and a folder means all in it."""
    names = path.split("/")
    if pattern.startswith("**/"):
        return any(fnmatch(name, pattern[3:]) for name in names)
    parts = pattern.split("/")
    return len(parts) <= len(names) and all(fnmatch(name, part) for name, part in zip(names, parts, strict=False))


def context() -> list[str]:
    """Files of the repository that the build of the image sees: the last rule that matches decides."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    found = []
    for path in listed.stdout.splitlines():
        decided = [lets_in for lets_in, pattern in rules() if matches(pattern, path)]
        if decided and decided[-1]:
            found.append(path)
    return found


def test_the_package_is_built_from_what_the_image_s_build_sees(tmp_path: Path) -> None:
    tree = tmp_path / "src"
    for path in context():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    (tree / SITE).parent.mkdir(parents=True, exist_ok=True)
    (tree / SITE).write_text("built")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")]
    built = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "llm_metrics_proxy/handbook/site/index.html.gz" in names
    assert "llm_metrics_proxy/processes/llm-metrics-proxy.service" in names


def test_every_file_that_the_dockerfile_names_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    named = [line.split()[1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    assert len(named) == 4
    assert {name for name in named if name != "."} <= set(context())


@pytest.mark.parametrize(
    "path", ["tests/test_container_context.py", ".git/config", "data/metrics.db", "docs/images/a.png"]
)
def test_what_the_image_does_not_need_stays_out(path: str) -> None:
    assert not [lets_in for lets_in, pattern in rules() if matches(pattern, path)][-1]
