"""A Debian package from the wheel: the program in a virtual environment of its own, the unit, user, folder, settings.

    python -m tools.make_deb --wheel dist/x.whl --python 3.13 --out dist

Its libraries are those of requirements.lock, by their hashes, for the Python named: Debian 12 has 3.11, Ubuntu 24.04
has 3.12, Debian 13 has 3.13. Nothing of this machine gets in, so the same wheel makes the same package, byte for byte.
It takes `dpkg-deb`, and `uv` of requirements-release.lock, which reads a lock for another Python than its own.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from tools.prune import prune

ROOT: Final = Path(__file__).parents[1]
DEBIAN: Final = ROOT / "deploy" / "debian"
UNIT: Final = ROOT / "contrib" / "llm-metrics-proxy.service"
NAME: Final = "llm-metrics-proxy"
HOME: Final = Path("usr/lib") / NAME  # below the package's root
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS: Final = {"amd64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
PROGRAMS: Final = (NAME, "llmmp")
# What names folders and hours of the machine that installs.
_NO_PLACE: Final = (".lock", "direct_url.json", "uv_cache.json", "uv_build.json", "REQUESTED")
_ENTRY: Final = """\
#!/{home}/bin/python
import sys

from llm_metrics_proxy.cli import main

sys.exit(main())
"""
_CONTROL: Final = """\
Package: {name}
Version: {version}
Architecture: {arch}
Maintainer: The LLM Metrics Proxy authors <nobody@localhost>
Installed-Size: {kib}
Depends: python{python}, init-system-helpers,
 systemd | systemd-standalone-sysusers | systemd-sysusers,
 systemd | systemd-standalone-tmpfiles | systemd-tmpfiles
Recommends: ca-certificates
Section: net
Priority: optional
Description: transparent reverse proxy for LLM servers, one record per request
 Clients change one URL. Every request is forwarded unchanged and leaves exactly
 one record: the model, the time of each phase, the tokens, how it ended. A
 dashboard, an API and Prometheus read the records.
"""


class Deb(NamedTuple):
    """What is to be made: for which Python and machine, of which time (seconds since 1970)."""

    wheel: Path
    python: str
    arch: str
    epoch: int

    @property
    def version(self) -> str:
        """A distribution's upgrade brings a newer Python, so that package has to count as newer, too."""
        return f"{self.wheel.name.split('-')[1]}-1~py{self.python}"

    @property
    def file_name(self) -> str:
        """As Debian names packages."""
        return f"{NAME}_{self.version}_{self.arch}.deb"


def make(deb: Deb, out: Path) -> Path:
    """The package, in ``out``. Raises ``CalledProcessError`` of what failed, which has said why."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        environment(deb, tree)
        _system_files(tree)
        _control(deb, tree)
        _same_everywhere(tree, deb.epoch)
        out.mkdir(parents=True, exist_ok=True)
        made = out / deb.file_name
        command = [
            "dpkg-deb",
            "--root-owner-group",
            "-Zzstd",
            "-z3",
            "--threads-max=1",
            "--build",
            str(tree),
            str(made),
        ]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(deb.epoch)}
        )
    return made


def environment(deb: Deb, tree: Path) -> None:
    """A virtual environment as `python -m venv` makes it, for a Python that need not be here. Ends without `uv`."""
    home = tree / HOME
    site = home / "lib" / f"python{deb.python}" / "site-packages"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(f"/usr/bin/python{deb.python}")
    (home / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {deb.python}\n")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        sys.exit("uv is not installed: pip install -r requirements-release.lock, as `make release` does")
    install = [
        *(uv, "pip", "install", "--quiet", "--no-deps", "--link-mode", "copy", "--only-binary", ":all:"),
        *("--target", str(site), "--python-version", deb.python, "--python-platform", PLATFORMS[deb.arch]),
    ]
    subprocess.run([*install, "--require-hashes", "--requirements", str(ROOT / "requirements.lock")], check=True)
    subprocess.run([*install, str(deb.wheel)], check=True)
    shutil.rmtree(site / "bin", ignore_errors=True)
    for name in _NO_PLACE:
        for path in (site / name, *site.glob(f"*.dist-info/{name}")):
            path.unlink(missing_ok=True)
    prune(site)
    for program in PROGRAMS:
        file = home / "bin" / program
        file.write_text(_ENTRY.format(home=HOME))
        file.chmod(0o755)
        link = tree / "usr/bin" / program
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../lib/{NAME}/bin/{program}")


def unit() -> str:
    """The unit, for the program where the package has it."""
    text, count = re.subn(rf"(?m)^ExecStart=\S+/{NAME} ", f"ExecStart=/usr/bin/{NAME} ", UNIT.read_text("utf-8"))
    if count != 1:
        sys.exit(f"{UNIT.name} does not start {NAME} once")
    return text


def _system_files(tree: Path) -> None:
    docs = f"usr/share/doc/{NAME}"
    files = {
        f"usr/lib/sysusers.d/{NAME}.conf": (DEBIAN / "sysusers.conf", 0o644),
        f"usr/lib/tmpfiles.d/{NAME}.conf": (DEBIAN / "tmpfiles.conf", 0o644),
        f"etc/{NAME}/config.toml": (DEBIAN / "config.toml", 0o644),
        f"etc/{NAME}/environment": (DEBIAN / "environment", 0o600),
        f"{docs}/copyright": (ROOT / "LICENSE", 0o644),
        f"{docs}/settings.md": (ROOT / "docs/settings.md", 0o644),
    }
    for place, (source, mode) in files.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, tree / place)
        (tree / place).chmod(mode)
    service = tree / f"usr/lib/systemd/system/{NAME}.service"
    service.parent.mkdir(parents=True)
    service.write_text(unit(), encoding="utf-8")


def _control(deb: Deb, tree: Path) -> None:
    kib = sum(path.lstat().st_size for path in tree.rglob("*") if path.is_file()) // 1024
    folder = tree / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(
        _CONTROL.format(name=NAME, version=deb.version, arch=deb.arch, python=deb.python, kib=kib)
    )
    (folder / "conffiles").write_text(f"/etc/{NAME}/config.toml\n/etc/{NAME}/environment\n")
    for script in ("postinst", "prerm", "postrm"):
        shutil.copyfile(DEBIAN / script, folder / script)


def _same_everywhere(tree: Path, epoch: int) -> None:
    """Modes and times that depend on no machine. The package is put together in the order of names by dpkg-deb."""
    secret = {tree / f"etc/{NAME}/environment"}
    scripts = {*(tree / "DEBIAN").glob("p*"), *(tree / HOME / "bin").iterdir()}
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in scripts else 0o600 if path in secret else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def main() -> None:
    """Make one package; its path on standard output."""
    parser = argparse.ArgumentParser(description="Make a Debian package from the wheel.")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--python", choices=PYTHONS, default="3.13", help="of the distribution it is for")
    parser.add_argument("--arch", choices=PLATFORMS, default="amd64")
    parser.add_argument("--epoch", type=int, default=int(os.environ.get("SOURCE_DATE_EPOCH", "1580601600")))
    parser.add_argument("--out", type=Path, default=Path("dist"))
    given = parser.parse_args()
    sys.stdout.write(f"{make(Deb(given.wheel, given.python, given.arch, given.epoch), given.out)}\n")


if __name__ == "__main__":
    main()
