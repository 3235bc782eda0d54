"""Completion for fish (3.0 and newer), with descriptions."""

from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.cli.shells.tree import (
    PROGRAM,
    SHORT_NAME,
    ArgumentShape,
    CommandLine,
    FlagShape,
    Takes,
    VerbShape,
    first_sentence,
)

_FUNCTION: Final = "__llm_metrics_proxy"

_HEAD: Final = f"""\
# fish completion of {PROGRAM}; made from its verbs by `{PROGRAM} completion fish`.
#   {PROGRAM} completion fish | source      in config.fish, or this file in a folder of completions

set -g {_FUNCTION}_verbs %s

function {_FUNCTION}_at --description 'whether the words typed so far lead to one of these verbs'
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if contains -- $at/$word ${_FUNCTION}_verbs
            set at $at/$word
        end
    end
    contains -- "$at" $argv
end

complete -c {PROGRAM} -f
complete -c {SHORT_NAME} -w {PROGRAM}
"""


def script(line: CommandLine) -> str:
    """The whole script; flags that several verbs share are written once."""
    verbs = list(line.root.walk())
    parts = [_HEAD % " ".join(_key(verb) for verb in verbs if verb.path)]
    for verb in verbs:
        parts += [f"{_at([verb])} -a {each.name} -d {_quoted(each.summary)}\n" for each in verb.verbs]
        parts += [f"{_at([verb])}{value}\n" for each in verb.arguments if (value := _value(each, by_place=True))]
    shared: dict[FlagShape, list[VerbShape]] = {}
    for verb in verbs:
        for flag in verb.flags:
            shared.setdefault(flag, []).append(verb)
    parts += [f"{_at(of)}{_flag(flag)}\n" for flag, of in shared.items()]
    return "".join(parts)


def _key(verb: VerbShape) -> str:
    return "".join(f"/{word}" for word in verb.path)


def _at(verbs: Iterable[VerbShape]) -> str:
    keys = " ".join(_key(verb) or "''" for verb in verbs)
    return f'complete -c {PROGRAM} -n "{_FUNCTION}_at {keys}"'


def _flag(flag: FlagShape) -> str:
    names = "".join(f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in flag.names)
    return f"{names}{_value(flag)} -d {_quoted(first_sentence(flag.help))}"


def _value(of: FlagShape | ArgumentShape, *, by_place: bool = False) -> str:
    """What may follow a flag, or stand ``by_place``; there files are offered only where it takes some."""
    alone, needed = ("", "") if by_place else (" -x", " -r")
    return {
        Takes.NOTHING: "",
        Takes.TEXT: alone,
        Takes.FILE: f"{needed} -F",
        Takes.FOLDER: f'{alone} -a "(__fish_complete_directories)"',
        Takes.CHOICE: f"{alone} -a {_quoted(' '.join(of.choices))}",
    }[of.takes]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
