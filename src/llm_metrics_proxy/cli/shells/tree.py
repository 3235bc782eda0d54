"""The verbs and their flags, read from the Typer application, as frozen values for those who write about them."""

import re
from collections.abc import Iterator
from enum import Enum, StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.config.table import CONFIG_FLAG, SettingRow, rows

PROGRAM: Final = "llm-metrics-proxy"
SHORT_NAME: Final = "llmmp"  # the same program
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]*\)")

_NOTE: Final = re.compile(r"\s*\[(?:default|env):[^]]*\]")


class Takes(StrEnum):
    """What may follow a flag, or stand at a place."""

    NOTHING = "nothing"
    TEXT = "text"
    FILE = "file"
    FOLDER = "folder"
    CHOICE = "choice"


class FlagShape(NamedTuple):
    """One flag. ``names``: all of them, long before short; those that turn a switch off are a flag of their own."""

    names: tuple[str, ...]
    help: str
    takes: Takes
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False
    setting: str | None = None


class ArgumentShape(NamedTuple):
    """One word that a verb takes by its place."""

    metavar: str
    help: str
    required: bool
    takes: Takes = Takes.TEXT
    choices: tuple[str, ...] = ()
    repeats: bool = False


class VerbShape(NamedTuple):
    """A verb or a group of verbs. ``path``: the words that lead to it; none for the program itself."""

    path: tuple[str, ...]
    help: str
    flags: tuple[FlagShape, ...]
    arguments: tuple[ArgumentShape, ...]
    verbs: tuple["VerbShape", ...]  # of a group

    @property
    def name(self) -> str:
        """The last word."""
        return self.path[-1] if self.path else PROGRAM

    @property
    def summary(self) -> str:
        """Its first sentence, without the full stop."""
        return first_sentence(self.help)

    def walk(self) -> Iterator["VerbShape"]:
        """It and all below, in order."""
        yield self
        for verb in self.verbs:
            yield from verb.walk()


class CommandLine:
    """The whole command line, and which verbs take every setting."""

    def __init__(self, command: Any) -> None:
        """``command``: the root of Typer's command tree."""
        self.root = _verb(command, ())

    @cached_property
    def settings(self) -> tuple[FlagShape, ...]:
        """The flags of all settings, as the verbs that take them all have them."""
        return next(of for verb in self.root.walk() if len(of := of_settings(verb)) == _every_setting())

    def own(self, verb: VerbShape) -> tuple[FlagShape, ...]:
        """Its flags; without those of settings if it takes them all."""
        if not self.takes_all(verb):
            return verb.flags
        return tuple(flag for flag in verb.flags if flag.setting is None)

    def takes_all(self, verb: VerbShape) -> bool:
        """Whether it takes every setting."""
        return len(of_settings(verb)) == _every_setting()


def of_settings(verb: VerbShape) -> tuple[FlagShape, ...]:
    """Those of its flags that are settings."""
    return tuple(flag for flag in verb.flags if flag.setting is not None)


def first_sentence(text: str) -> str:
    """Up to the first mark that ends a clause, without it and without notes in brackets."""
    return re.split(r"[.:;?](?:\s|$)", _NOTE.sub("", plain(text)).strip(), maxsplit=1)[0]


def plain(text: str) -> str:
    """Markdown as plain words in one paragraph."""
    return re.sub(r"\s+", " ", _LINK.sub(r"\1", text).replace("`", "").replace("**", "")).strip()


def _every_setting() -> int:
    flags = (row for row in rows().values() if not row.toml_only and not row.no_flag)
    return sum(2 if row.is_switch else 1 for row in flags)


def _verb(command: Any, path: tuple[str, ...]) -> VerbShape:
    table = rows()
    flags: list[FlagShape] = []
    arguments = []
    for each in command.params:
        if each.hidden:
            continue
        if not each.opts[0].startswith("-"):
            name = each.metavar or each.name.upper()
            takes, choices = _value(each, None)
            repeats = each.nargs != 1
            arguments.append(ArgumentShape(name, plain(each.help or ""), each.required, takes, choices, repeats))
            continue
        flags += _flags(each, table.get(each.name))
    flags.append(FlagShape(("--help", "-h"), "Show this message and exit.", Takes.NOTHING))
    verbs = getattr(command, "commands", {}).items()
    below = tuple(_verb(one, (*path, name)) for name, one in verbs if not one.hidden)
    return VerbShape(path, command.help or "", tuple(flags), tuple(arguments), below)


def _flags(option: Any, row: SettingRow | None) -> Iterator[FlagShape]:
    names = tuple(sorted(option.opts, key=len, reverse=True))
    if row is not None and option.rich_help_panel != row.group:  # of the verb itself, and has a setting's name
        row = None
    takes, choices = _value(option, row)
    text = _with_default(option)
    metavar = "" if takes is Takes.NOTHING else option.metavar or "VALUE"
    setting = None if row is None else row.name
    yield FlagShape(names, text, takes, metavar, choices, bool(option.multiple), setting)
    if option.secondary_opts:
        off = tuple(option.secondary_opts)
        yield FlagShape(off, f"The opposite of {names[0]}.", takes, setting=setting)


def _with_default(option: Any) -> str:
    text = plain(option.help or "")
    default = option.default
    if option.show_default and default not in (None, False, ()) and "[default" not in text and not callable(default):
        shown = default.value if isinstance(default, Enum) else default
        return f"{text} [default: {shown}]"
    return text


def _value(given: Any, row: SettingRow | None) -> tuple[Takes, tuple[str, ...]]:
    """Of an option, or of an argument by its place."""
    kind = given.type_descriptor.annotation
    metavar = given.metavar or ""
    if getattr(given, "is_flag", False):
        return Takes.NOTHING, ()
    if row is not None and row.choices:
        return Takes.CHOICE, row.choices
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Takes.CHOICE, tuple(str(each.value) for each in kind)
    if re.fullmatch(r"[a-z][a-z-]*(\|[a-z][a-z-]*)+", metavar):
        return Takes.CHOICE, tuple(metavar.split("|"))
    if row is not None and row.is_path:
        return (Takes.FOLDER if row.name.endswith("_dir") else Takes.FILE), ()
    if metavar in {"FILE", "PATH"} or CONFIG_FLAG in given.opts or (kind is Path and not metavar):
        return Takes.FILE, ()
    return (Takes.FOLDER if metavar == "FOLDER" else Takes.TEXT), ()
