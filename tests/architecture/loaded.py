"""``python -m tests.architecture.loaded FILE MODULE``: run a module as ``python -m`` does; at the end, write which
libraries were loaded, one name a line."""

import atexit
import runpy
import sys
from pathlib import Path


def _write(file: Path) -> None:
    file.write_text("\n".join(sorted({name.partition(".")[0] for name in sys.modules})))


if __name__ == "__main__":
    atexit.register(_write, Path(sys.argv[1]))
    runpy.run_module(sys.argv[2], run_name="__main__", alter_sys=True)
