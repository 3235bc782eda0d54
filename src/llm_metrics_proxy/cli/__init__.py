"""The command line: one file per verb, and what verbs print with. Nothing imports this package.

``app`` collects the verbs; ``flags`` and ``selection`` make their flags; ``output``, ``tables`` and
``standard_output`` print. Starting processes is ``processes``' part.
"""

import sys
from collections.abc import Sequence

from llm_metrics_proxy.cli import standard_output
from llm_metrics_proxy.cli.app import run
from llm_metrics_proxy.errors import OutputClosedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    if arguments is None:
        standard_output.begin_again_in_utf8()
    standard_output.take_over()
    code = run(sys.argv[1:] if arguments is None else arguments)
    if code == OutputClosedError.exit_code:
        standard_output.end_by_sigpipe()
    sys.exit(code)
