"""Where programs come from: Debian, a lock of wheels, or our own environment."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
WHEELS: Final = ROOT / ".venv-peers/bin"


class Source(NamedTuple):
    """How a program is had. ``needs``: files that it cannot run without."""

    program: str
    how: str  # for people who lack it
    folder: Path | None = None  # where it is; without one, on the PATH
    needs: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()  # of Debian

    def find(self) -> Path | None:
        """The program, if it and all that it needs are here."""
        # Debian puts servers in /usr/sbin, which is not on everybody's PATH.
        path = str(self.folder) if self.folder else f"{os.environ.get('PATH', '')}:/usr/sbin"
        found = shutil.which(self.program, path=path)
        return Path(found) if found and all(file.exists() for file in self.needs) else None


def debian(program: str, *packages: str, needs: tuple[Path, ...] = ()) -> Source:
    """A program of the distribution's packages."""
    return Source(program, f"apt-get install {' '.join(packages)}", needs=needs, packages=packages)


def wheel(program: str) -> Source:
    """A program that a wheel of ``requirements-peers.lock`` has in it."""
    return Source(program, "run tools/install-bench.sh", WHEELS)


def own() -> Source:
    """The interpreter that runs this: what is started is a module of ours."""
    return Source(Path(sys.executable).name, "", Path(sys.executable).parent)
