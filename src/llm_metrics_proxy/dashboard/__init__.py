"""Where the built dashboard lies: ``site/``, made by `make` from the sources in ``dashboard/`` and part of the package.

Only the composition root reads it, and hands the files to the API.
"""

from pathlib import Path
from typing import Final

SITE: Final = Path(__file__).parent / "site"
