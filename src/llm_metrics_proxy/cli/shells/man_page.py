"""The manual page, in roff with the macros of man(7), made from the verbs and the settings table."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from llm_metrics_proxy.cli.shells.tree import PROGRAM, CommandLine, FlagShape, Takes, VerbShape, plain
from llm_metrics_proxy.config.table import CONFIG_ENVIRONMENT, CONFIG_FLAG, SettingRow, rows, table_rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES

_DESCRIPTION: Final = (
    "A transparent reverse proxy for LLM servers. Clients change one URL; every request is forwarded unchanged and "
    "leaves exactly one record: the model, the time of each phase, the tokens, how it ended. A metrics API, a "
    "dashboard, Prometheus and reports read those records."
)
_EXAMPLES: Final = (
    ("Set up: three questions, a commented file.", "init"),
    ("Start in front of a server of your own.", "serve --backend http://127.0.0.1:11434"),
    ("Look for mistakes without starting anything.", "config check --config llm-metrics-proxy.toml"),
    ("Use changed settings without losing a request.", "reload --config llm-metrics-proxy.toml"),
    ("Totals and percentiles of the last day.", "summary --since 24h"),
    ("What a migration would change; writes nothing.", "migrate plan"),
)
_FILES: Final = (
    ("DATA_DIR/metrics.db", "Records, counters, what has been migrated (SQLite)."),
    ("DATA_DIR/journal/", "What the workers hand over; empty soon after."),
    ("DATA_DIR/api_key_secret", "The secret behind api_key_id; mode 600."),
    ("DATA_DIR/backups/", "Backups, made before each migration and by backup create."),
    ("DATA_DIR/serve.state", "Which process serves, and what became of its newest reload."),
)
_EXITS: Final = (
    ("0", "All is well."),
    ("1", "It failed; the message says what to do."),
    ("2", "Wrong use, or settings that cannot be used."),
    ("3", "Refused before anything was changed: a database that is not ours to write, or of a newer version."),
    ("130", "Stopped by Ctrl-C."),
    ("141", "Nobody read standard output any more."),
)
_SIGNALS: Final = (
    ("SIGTERM, SIGINT", "They stop in order: open requests end, then records are stored. A second one stops at once."),
    ("SIGHUP", "They read their file of settings again. The verb reload does that, and says what came of it."),
)


def page(line: CommandLine, version: str) -> str:
    """The whole page; ``version`` stands in its footer. It has no date, so that the same sources make the same page."""
    what = plain(line.root.help).rstrip(".")
    parts = [
        '.\\" Made from the verbs and the settings by `python -m tools.shell_files`.\n',
        f'.TH "{PROGRAM.upper()}" 1 "" "LLM Metrics Proxy {version}" "User Commands"\n',
        _section("Name"),
        f"{_text(PROGRAM)} \\- {_text(what[:1].lower() + what[1:])}\n",
        _section("Synopsis"),
        f".B {_text(PROGRAM)}\n.I verb\n.RI [ flags ]\n",
        _section("Description"),
        f"{_text(_DESCRIPTION)}\n.PP\nEach verb says more with\n.BR \\-\\-help .\n",
        _section("Verbs"),
        *(_verb(line, verb) for verb in line.root.walk() if verb.path),
        _section("Settings"),
        _settings_head(),
        *_settings(),
        _section("Tables of the file"),
        *_tables(),
        _list("Environment", [*_environment()]),
        _list("Files", _FILES),
        _list("Exit status", _EXITS),
        _list("Signals", _SIGNALS),
        _section("Examples"),
        *(f".TP\n.B {_text(f'{PROGRAM} {verb}')}\n{_text(words)}\n" for words, verb in _EXAMPLES),
    ]
    return "".join(parts)


def _section(title: str) -> str:
    return f".SH {title.upper()}\n"


def _list(title: str, rows_of_it: Iterable[tuple[str, str]]) -> str:
    return _section(title) + "".join(f".TP\n.B {_text(head)}\n{_text(body)}\n" for head, body in rows_of_it)


def _verb(line: CommandLine, verb: VerbShape) -> str:
    words = " ".join(verb.path)
    takes = "".join(f" {each.metavar}" if each.required else f" [{each.metavar}]" for each in verb.arguments)
    head = f".SS {_text(words + takes)}\n{_paragraphs(verb.help)}"
    flags = [flag for flag in line.own(verb) if flag.names[0] not in {"--help", CONFIG_FLAG}]
    own = "".join(_flag(flag) for flag in flags if flag.setting is None)
    arguments = "".join(f".TP\n.I {_text(each.metavar)}\n{_text(each.help or '')}\n" for each in verb.arguments)
    if line.takes_all(verb):
        settings = ".PP\nIt takes every setting.\n"
    else:
        names = [name for flag in flags if flag.setting for name in flag.names]
        settings = f".PP\nAnd of the settings: {_text(', '.join(names))}.\n" if names else ""
    return head + arguments + own + settings


def _flag(flag: FlagShape) -> str:
    value = "" if flag.takes is Takes.NOTHING else "|".join(flag.choices) or flag.metavar
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in flag.names)
    return f".TP\n{names}{f' {_text(value, italic=True)}' if value else ''}\n{_text(flag.help)}\n"


def _settings_head() -> str:
    return (
        f"Each can be a flag, a variable or a key of the file that\n.B {_text(CONFIG_FLAG)}\n"
        "names, in this order: the first one present wins. The variable's name is the key in capitals behind "
        "LLM_METRICS_PROXY_.\n"
    )


def _settings() -> Iterable[str]:
    given = (row for row in rows().values() if not row.toml_only)
    for group, of_it in groupby(given, key=lambda row: row.group):
        yield f".SS {_text(group)}\n"
        yield from (_setting(row) for row in of_it)


def _setting(row: SettingRow) -> str:
    flag = f"key {row.name}, no flag" if row.no_flag else row.flags.replace("/", ", ")
    unit = f", in {row.unit}" if row.unit else ""
    again = " Read again by reload." if row.reload else ""
    return (
        f".TP\n.B {_text(flag)}\n{_text(plain(row.meaning))} Default: {_text(row.default)}{unit}. "
        f"Allowed: {_text(row.allowed)}.{again}\n"
    )


def _tables() -> Iterable[str]:
    for name in TOML_TABLES:
        yield f".SS [[{_text(name)}]]\n{_text(plain(rows()[name].meaning))}\n"
        for key in table_rows(name).values():
            yield f".TP\n.B {_text(key.name)}\n{_text(plain(key.meaning))} Default: {_text(key.default)}.\n"


def _environment() -> Iterable[tuple[str, str]]:
    yield "LLM_METRICS_PROXY_…", "A setting, see there."
    yield CONFIG_ENVIRONMENT, f"The file of settings, as {CONFIG_FLAG} names it."


def _paragraphs(text: str) -> str:
    found = [plain(each) for each in re.split(r"\n\s*\n", text)]
    return "\n.PP\n".join(_text(each) for each in found if each) + "\n"


def _text(text: str, *, italic: bool = False) -> str:
    """Safe in roff: backslashes and dashes as they are, and no line that begins with a control character."""
    safe = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...")
    safe = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in safe)
    safe = f"\\&{safe}" if safe.startswith((".", "'")) else safe
    return f"\\fI{safe}\\fR" if italic else safe
