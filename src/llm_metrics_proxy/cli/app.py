"""The verbs in one Typer application, and what becomes of errors: one line and an exit code, never a traceback."""

import sys
from collections.abc import Sequence
from contextlib import suppress

import typer

from llm_metrics_proxy.cli.backup import backup
from llm_metrics_proxy.cli.changes import changes
from llm_metrics_proxy.cli.compact import compact
from llm_metrics_proxy.cli.costs import costs
from llm_metrics_proxy.cli.demo import demo
from llm_metrics_proxy.cli.doctor import doctor
from llm_metrics_proxy.cli.errors import errors
from llm_metrics_proxy.cli.export import export
from llm_metrics_proxy.cli.limits import limits
from llm_metrics_proxy.cli.metrics import metrics
from llm_metrics_proxy.cli.migrate import migrate
from llm_metrics_proxy.cli.proxy import proxy
from llm_metrics_proxy.cli.query import query
from llm_metrics_proxy.cli.report import report
from llm_metrics_proxy.cli.reprice import reprice
from llm_metrics_proxy.cli.requests import requests
from llm_metrics_proxy.cli.serve import serve
from llm_metrics_proxy.cli.servers import servers
from llm_metrics_proxy.cli.sessions import sessions
from llm_metrics_proxy.cli.standard_output import finish
from llm_metrics_proxy.cli.store import store
from llm_metrics_proxy.cli.summary import summary
from llm_metrics_proxy.cli.top import top
from llm_metrics_proxy.cli.version import version
from llm_metrics_proxy.errors import LlmMetricsProxyError

PROGRAM = "llm-metrics-proxy"
WRONG_USE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

app = typer.Typer(
    name=PROGRAM,
    help="A transparent reverse proxy for LLM servers that leaves one trustworthy record per request.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    serve,
    proxy,
    metrics,
    demo,
    requests,
    summary,
    query,
    changes,
    costs,
    errors,
    limits,
    servers,
    top,
    export,
    report,
    reprice,
    compact,
    doctor,
    version,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(migrate)
app.add_typer(backup)
app.add_typer(store)
app.add_typer(sessions)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        try:
            code = app(list(arguments), prog_name=PROGRAM, standalone_mode=False)
        finally:
            finish()
    except LlmMetricsProxyError as error:
        _complain(str(error))
        return error.exit_code
    except typer.TyperException as error:  # a flag or verb that does not exist, a value that Typer refuses
        _complain(f"{error.format_message()} (see {PROGRAM} --help)" if error.format_message() else "")
        return error.exit_code
    except UnicodeEncodeError as error:  # bytes of a command line, a variable or a folder that are not text
        _complain(f"{error.object!r} is not UTF-8: choose another name")
        return WRONG_USE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _complain(text: str) -> None:
    with suppress(OSError):  # standard error is full, too, or closed: the exit code is all that is left
        for line in filter(None, text.splitlines()):
            sys.stderr.write(f"{PROGRAM}: {line}\n")
