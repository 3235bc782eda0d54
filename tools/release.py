"""``make release``: the folder of a release, built twice from the commit, and the same both times.

    dist/5.2.0/  wheel, sdist, Debian packages, SBOM, provenance, SHA256SUMS

Both builds begin with nothing but what git has, in folders of other names, in another time zone and with another umask.
Any file that differs ends it. The exit code is 1 then, and nothing is left in dist.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from tools import provenance
from tools.make_deb import HOME, PYTHONS, Deb, environment, make
from tools.sbom import document

ROOT: Final = Path(__file__).parents[1]
_DEBIAN: Final = ("3.11", "3.13")  # of Debian 12 and 13
_TURNS: Final = (("one", "UTC", 0o022), ("another-place", "Asia/Kathmandu", 0o077))


def say(text: str) -> None:
    """What is being done; the paths of results go to standard output."""
    sys.stderr.write(f"{text}\n")


def git(*words: str) -> str:
    """What git says of this repository."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def unpack(commit: str, folder: Path) -> None:
    """The commit's files."""
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        opened.extractall(folder, filter="data")


def build(sources: Path, out: Path, epoch: int, pythons: tuple[str, ...]) -> None:
    """Everything that one build makes."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    command = [sys.executable, "-m", "build", "--no-isolation", "--skip-dependency-check", "--outdir", str(out)]
    if subprocess.run([*command, str(sources)], check=False, env=environment, stdout=subprocess.DEVNULL).returncode:
        sys.exit("the sources could not be built: the reason stands above")
    (wheel,) = out.glob("*.whl")
    for python in pythons:
        say(f"  Debian package for Python {python}")
        make(Deb(wheel, python, "amd64", epoch), out)


def release(out: Path, *, commit: str, pythons: tuple[str, ...]) -> list[Path]:
    """The files of the release. Ends the program where two builds differ."""
    epoch = int(git("show", "--no-patch", "--format=%ct", commit))
    with tempfile.TemporaryDirectory(prefix="llmmp-release-") as scratch:
        made = []
        for name, zone, umask in _TURNS:
            folder = Path(scratch) / name
            (folder / "out").mkdir(parents=True)
            say(f"building {commit[:12]}, {name}")
            os.environ["TZ"] = zone
            before = os.umask(umask)
            try:
                unpack(commit, folder / "sources")
                build(folder / "sources", folder / "out", epoch, pythons)
            finally:
                os.umask(before)
            made.append(folder / "out")
        first, second = ({file.name: provenance.sha256(file) for file in folder.iterdir()} for folder in made)
        if differ := sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)):
            sys.exit(f"two builds of {commit[:12]} differ: {', '.join(differ)}")
        say(f"both builds are the same: {len(first)} files")

        (wheel,) = made[0].glob("*.whl")
        version = wheel.name.split("-")[1]
        environment(Deb(wheel, pythons[-1], "amd64", epoch), Path(scratch) / "tree")
        (site,) = (Path(scratch) / "tree" / HOME / "lib").glob("python*/site-packages")
        text = document(site, ROOT / "dashboard" / "package-lock.json", version=version, epoch=epoch)
        (made[0] / f"llm-metrics-proxy-{version}.cdx.json").write_text(text, encoding="utf-8")
        about = provenance.statement(made[0].iterdir(), sources=ROOT, commit=commit, epoch=epoch)
        (made[0] / "provenance.intoto.json").write_text(provenance.written(about), encoding="utf-8")
        (made[0] / "SHA256SUMS").write_text(provenance.checksums(made[0].iterdir()), encoding="utf-8")
        final = out / version
        shutil.rmtree(final, ignore_errors=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made[0], final)
    for file in final.iterdir():
        file.chmod(0o644)
    final.chmod(0o755)
    return sorted(final.iterdir())


def main() -> None:
    """Make it; the files on standard output."""
    parser = argparse.ArgumentParser(description="Build a release twice and keep it if both are the same.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="of a Debian package; several are possible")
    given = parser.parse_args()
    if git("status", "--porcelain"):
        sys.exit("there are changes that are in no commit: commit them, so that the release is one")
    for file in release(given.out, commit=git("rev-parse", "HEAD"), pythons=tuple(given.python or _DEBIAN)):
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
