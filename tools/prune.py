"""Take out of installed libraries what a running program never opens; for packages of a system and containers.

    python3 prune.py SITE_PACKAGES

Headers to compile against, tests of libraries, and pyarrow's clients of Flight and S3, which nothing here uses: 65 MB
of 375. The proofs of packages write Parquet afterwards.
"""

import shutil
import sys
from pathlib import Path

NEVER_OPENED = (
    "pyarrow/include",
    "pyarrow/src",
    "pyarrow/tests",
    "pyarrow/*flight*",
    "pyarrow/*s3*",
    "numpy/_core/include",
    "numpy/tests",
    "numpy/*/tests",
    "apsw/tests",
)


def prune(site: Path) -> None:
    """Take it out of the folder that has the libraries, and out of their lists of files."""
    for pattern in NEVER_OPENED:
        for path in site.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text(encoding="utf-8").splitlines()
        kept = (line for line in lines if (site / line.rsplit(",", 2)[0].strip('"')).exists())
        record.write_text("".join(f"{line}\n" for line in sorted(kept)), encoding="utf-8")


if __name__ == "__main__":
    prune(Path(sys.argv[1]))
