"""Completion for fish (3.0 and newer), with descriptions."""

from collections.abc import Iterable
from typing import Final

from llm_metrics_proxy.cli.shells.tree import (
    PROGRAM,
    SHORT_NAME,
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
    value = {
        Takes.NOTHING: "",
        Takes.TEXT: " -x",
        Takes.FILE: " -r -F",
        Takes.FOLDER: ' -x -a "(__fish_complete_directories)"',
        Takes.CHOICE: f" -x -a {_quoted(' '.join(flag.choices))}",
    }[flag.takes]
    return f"{names}{value} -d {_quoted(first_sentence(flag.help))}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
