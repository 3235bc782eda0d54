"""Where the documentation lies that ``/help`` serves: ``site/``, made by `make docs` or by whatever builds a package
(``tools/build_hook.py``) from the pages in ``docs/``, and part of the package.

Texts are kept packed by gzip, which is what browsers are sent. Only the composition root reads it.
"""

from pathlib import Path
from typing import Final

SITE: Final = Path(__file__).parent / "site"
