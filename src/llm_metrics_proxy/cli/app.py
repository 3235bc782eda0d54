"""The verbs in one Typer application, and what becomes of errors: one line and an exit code, never a traceback."""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import typer

from llm_metrics_proxy import logs
from llm_metrics_proxy.cli.standard_output import finish
from llm_metrics_proxy.errors import LlmMetricsProxyError

PROGRAM = "llm-metrics-proxy"
WRONG_USE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

log = logging.getLogger(__name__)
# Each is a file of this folder, and in it the function or Typer application of the same name; in the order of --help.
VERBS: Final = (
    *("serve", "proxy", "metrics", "demo", "init", "reload"),
    *("requests", "summary", "query", "changes", "costs", "errors", "limits", "servers", "top"),
    *("export", "report", "mcp", "reprice", "compact"),
    *("doctor", "support-bundle", "upgrade-check", "completion", "version"),
)
GROUPS: Final = ("config", "migrate", "backup", "store", "sessions")
_ALONE: Final = {*VERBS, *GROUPS} - {"completion"}  # which tells of all others


def application(only: str | None = None) -> typer.Typer:
    """All verbs, or the one named alone: a third of the time that a verb takes to start goes into those beside it."""
    made = typer.Typer(
        name=PROGRAM,
        help="A transparent reverse proxy for LLM servers that leaves one trustworthy record per request.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        add_completion=False,  # the verb `completion` has scripts that need no Python at every Tab
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_no_flags)  # so that one verb alone is still a verb of a group
    for verb in VERBS:
        if only in {None, verb}:
            made.command(verb)(_loaded(verb))
    for group in GROUPS:
        if only in {None, group}:
            made.add_typer(_loaded(group))
    return made


def _no_flags() -> None:
    pass


def _loaded(name: str) -> Any:
    """The function or application of one file."""
    word = name.replace("-", "_")
    return getattr(importlib.import_module(f"llm_metrics_proxy.cli.{word}"), word)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    try:
        try:
            verb = next(iter(arguments), None)
            app = application(verb if verb in _ALONE else None)
            code = app(list(arguments), prog_name=PROGRAM, standalone_mode=False)
        finally:
            finish()
    except LlmMetricsProxyError as error:
        _complain(str(error), arguments)
        return error.exit_code
    except typer.TyperException as error:  # a flag or verb that does not exist, a value that Typer refuses
        _complain(f"{error.format_message()} (see {PROGRAM} --help)" if error.format_message() else "", arguments)
        return error.exit_code
    except UnicodeEncodeError as error:  # bytes of a command line, a variable or a folder that are not text
        _complain(f"{error.object!r} is not UTF-8: choose another name", arguments)
        return WRONG_USE
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _complain(text: str, arguments: Sequence[str]) -> None:
    if text and not logs.is_json() and _wants_json(arguments):
        verb = next(iter(arguments), "")
        logs.setup("info", "json", verb if verb in {*VERBS, *GROUPS} else PROGRAM)
    if logs.is_json():
        for line in filter(None, text.splitlines()):
            log.error("%s", line)
        return
    with suppress(OSError):  # standard error is full, too, or closed: the exit code is all that is left
        for line in filter(None, text.splitlines()):
            sys.stderr.write(f"{PROGRAM}: {line}\n")


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether `log_format` is json, as far as that shows in a command line that cannot be used."""
    from llm_metrics_proxy.config.sources import wants_json_logs  # noqa: PLC0415 -- when something is wrong alone
    from llm_metrics_proxy.config.table import CONFIG_FLAG, rows  # noqa: PLC0415 -- as above

    named = (rows()["log_format"].flag, CONFIG_FLAG)
    given: dict[str, str] = {}
    for word, after in zip(arguments, [*arguments[1:], ""], strict=True):
        name, has_value, value = word.partition("=")
        if name in named and (stated := value if has_value else after):
            given[name] = stated
    log_format, file = map(given.get, named)
    flags = {} if log_format is None else {"log_format": log_format}
    return wants_json_logs(flags, os.environ, None if file is None else Path(file))
