"""``python -m tools.docs_site site FOLDER``, ``python -m tools.docs_site help``."""

import sys
from pathlib import Path

from tools.docs_site.build import SiteError, build_help, build_site
from tools.docs_site.pages import AstrayError
from tools.docs_site.shelves import MisplacedError


def main(arguments: list[str]) -> int:
    """The exit code."""
    try:
        match arguments:
            case ["site", folder]:
                sys.stderr.write(f"The documentation is in {build_site(Path(folder))}\n")
            case ["help"]:
                build_help()
            case _:
                sys.stderr.write("say what to make: site FOLDER, or help\n")
                return 2
    except (SiteError, AstrayError, MisplacedError) as error:
        sys.stderr.write(f"The documentation was not made:\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
