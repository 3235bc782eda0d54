"""What people install has the dashboard: sdist and wheel of `python -m build`, and what pip makes of a clone.

Needs package registries, as `make test` does.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from playwright.sync_api import expect

from llm_metrics_proxy.metrics_service import APP_VERSION
from tests.browser.conftest import Open
from tests.browser.served import served

ROOT: Final = Path(__file__).parents[2]
LIMIT_S: Final = 900  # downloads, if pip has nothing in its cache
LARGEST_BYTES: Final = 4 * 1024**2
SITE: Final = "llm_metrics_proxy/dashboard/site/"
HELP: Final = "llm_metrics_proxy/handbook/site/index.html.gz"
PACKAGE: Final = f"llm_metrics_proxy-{APP_VERSION}"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What it printed. Asserts that it ended well."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


class Built(NamedTuple):
    """A repository with one commit of what stands here now, and the packages made from a clone of it."""

    repository: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """From files that git knows or would take: nothing that was built here gets in."""
    folder = tmp_path_factory.mktemp("package")
    repository, clone, packages = folder / "repository", folder / "clone", folder / "packages"
    names = (
        run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).rstrip("\0").split("\0")
    )
    for name in names:
        if (ROOT / name).is_file():
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            (repository / name).write_bytes((ROOT / name).read_bytes())
    run("git", "init", "--quiet", cwd=repository)
    run("git", "add", "--all", cwd=repository)
    me = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    run("git", *me, "commit", "--quiet", "--message", "All of it", cwd=repository)
    run("git", "clone", "--quiet", repository, clone, cwd=folder)
    run(sys.executable, "-m", "build", "--outdir", packages, clone, cwd=folder)
    return Built(repository, packages / f"{PACKAGE}.tar.gz", packages / f"{PACKAGE}-py3-none-any.whl")


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that had nothing in it but pip, and now the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=True)
    locked = re.findall(r"^[a-z0-9-]+==[^\\\n]+", (ROOT / "requirements.lock").read_text(), re.M)
    (folder / "constraints.txt").write_text("\n".join(locked))
    commands = folder / "venv" / "bin"
    run(commands / "pip", "install", "--quiet", "-c", folder / "constraints.txt", built.wheel, cwd=folder)
    return commands


def wheel_names(built: Built) -> set[str]:
    with zipfile.ZipFile(built.wheel) as file:
        return set(file.namelist())


def test_the_wheel_holds_the_program_and_nothing_else(built: Built) -> None:
    names = wheel_names(built)
    assert {name.split("/")[0] for name in names} == {"llm_metrics_proxy", f"{PACKAGE}.dist-info", f"{PACKAGE}.data"}
    shared = {name.removeprefix(f"{PACKAGE}.data/data/share/") for name in names if name.startswith(f"{PACKAGE}.data/")}
    assert shared == {
        "man/man1/llm-metrics-proxy.1",
        "bash-completion/completions/llm-metrics-proxy",
        "zsh/site-functions/_llm-metrics-proxy",
        "fish/vendor_completions.d/llm-metrics-proxy.fish",
    }
    assert {"llm_metrics_proxy/release.json", "llm_metrics_proxy/processes/llm-metrics-proxy.service"} <= names
    types = f"{SITE}api.d.ts"  # of the API, for programs of others
    assert {"llm_metrics_proxy/py.typed", "llm_metrics_proxy/__main__.py", f"{SITE}index.html", types, HELP} <= names
    assert not [
        name
        for name in names - {types}
        if re.search(r"(^|/)(tests?|node_modules|__pycache__)/|\.(map|ts|png|db)$", name)
    ]
    assert built.wheel.stat().st_size < LARGEST_BYTES


def test_its_description_says_what_it_is_and_under_which_licences(built: Built) -> None:
    names = wheel_names(built)
    with zipfile.ZipFile(built.wheel) as file:
        told = BytesParser().parsebytes(file.read(f"{PACKAGE}.dist-info/METADATA"))
        licences = file.read(f"{SITE}licenses.md").decode()
    assert (told["Name"], told["Version"], told["License-Expression"]) == ("llm-metrics-proxy", APP_VERSION, "MIT")
    assert told["Description-Content-Type"] == "text/markdown"
    description = told.get_payload(decode=True)
    assert isinstance(description, bytes)
    assert description.decode().strip() == (ROOT / "README.md").read_text().strip()
    assert f"{PACKAGE}.dist-info/licenses/LICENSE" in names
    dependencies = json.loads((ROOT / "dashboard" / "package.json").read_text())["dependencies"]
    assert [name for name in dependencies if f"## {name} - " not in licences] == []
    assert (ROOT / "dashboard/node_modules/echarts/NOTICE").read_text() in licences


def test_the_sdist_carries_the_dashboard_built_and_as_sources(built: Built) -> None:
    with tarfile.open(built.sdist) as file:
        names = {name.removeprefix(f"{PACKAGE}/") for name in file.getnames()}
    assert {name for name in wheel_names(built) if name.startswith(SITE)} == {
        name.removeprefix("src/") for name in names if name.startswith(f"src/{SITE}")
    }
    assert {"dashboard/package-lock.json", "tools/build-dashboard.sh", "requirements-node.lock", "PKG-INFO"} <= names
    assert not [name for name in names if re.search(r"(^|/)node_modules/|^(tests|bench|docs|data)/", name)]
    assert built.sdist.stat().st_size < LARGEST_BYTES


def test_the_wheel_in_an_empty_environment_shows_the_page(installed: Path, tmp_path: Path, open_at: Open) -> None:
    opens(installed, tmp_path, open_at)
    run(installed / "pip", "check", cwd=tmp_path)
    assert run(installed / "llm-metrics-proxy", "version", cwd=tmp_path).split()[1] == APP_VERSION
    assert run(installed / "llmmp", "version", cwd=tmp_path).split()[1] == APP_VERSION
    assert run(installed / "python", "-m", "llm_metrics_proxy", "version", cwd=tmp_path).split()[1] == APP_VERSION


def test_what_the_wheel_alone_lacks_is_said_before_anything_starts(installed: Path, tmp_path: Path) -> None:
    lacking = {"--store": ("clickhouse://me@localhost/llm", "clickhouse"), "--otlp-endpoint": ("http://[::1]", "otlp")}
    for flag, (value, extra) in lacking.items():
        done = subprocess.run(
            [installed / "llmmp", "serve", flag, value],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(f"which is not installed: pip install 'llm-metrics-proxy[{extra}]'\n")
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["a repository", "an sdist, without npm's registry"])
def test_what_pip_builds_itself_shows_the_page(
    built: Built, installed: Path, tmp_path: Path, open_at: Open, kind: str
) -> None:
    source = f"git+file://{built.repository}" if kind == "a repository" else built.sdist
    nowhere = {} if kind == "a repository" else {"npm_config_registry": "http://127.0.0.1:9"}
    run(installed / "pip", "uninstall", "--quiet", "--yes", "llm-metrics-proxy", cwd=tmp_path)
    run(installed / "pip", "install", "--quiet", "--no-deps", source, cwd=tmp_path, **nowhere)
    opens(installed, tmp_path, open_at)


def opens(commands: Path, folder: Path, open_at: Open) -> None:
    """The page draws itself, which takes its scripts and styles."""
    with served(folder, program=commands / "llm-metrics-proxy") as address:
        expect(open_at(address).go("/")).to_have_title(re.compile("LLM Metrics Proxy"))
