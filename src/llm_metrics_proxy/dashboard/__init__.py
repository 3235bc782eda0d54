"""Where the built dashboard lies: ``site/``, made by `make` or by whatever builds a package (``tools/build_hook.py``)
from the sources in ``dashboard/``, and part of the package.

Only the composition root reads it, and hands the files to the API.
"""

from pathlib import Path
from typing import Final

SITE: Final = Path(__file__).parent / "site"
MISSING: Final = (
    "the dashboard is not part of this installation: install a wheel or an sdist, or run `make dashboard` where the "
    "sources are"
)


def is_built() -> bool:
    """Whether there is a page to serve."""
    return (SITE / "index.html").is_file()
