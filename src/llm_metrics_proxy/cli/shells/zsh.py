"""Completion for zsh, with descriptions."""

import re
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

_FUNCTION: Final = f"_{PROGRAM}"
_BRACKET: Final = re.compile(r"([][])")
_ESCAPED: Final = r"\\\1"
_ACTIONS: Final = {Takes.FILE: "_files", Takes.FOLDER: "_files -/", Takes.TEXT: " "}

_SETTINGS: Final = f"_{PROGRAM.replace('-', '_')}_settings"
_HEAD: Final = f"""\
#compdef {PROGRAM} {SHORT_NAME}
# zsh completion of {PROGRAM}; made from its verbs by `{PROGRAM} completion zsh`.
#   eval "$({PROGRAM} completion zsh)"      in ~/.zshrc after compinit, or this file as {_FUNCTION} in $fpath

"""


def script(line: CommandLine) -> str:
    """The whole script: a function for each verb, and one that leads to them."""
    parts = [_HEAD, f"typeset -ga {_SETTINGS}\n{_SETTINGS}=(\n{_specs(line.settings)})\n\n"]
    parts += [_function(line, verb) for verb in line.root.walk()]
    parts.append(
        f'if [[ "${{funcstack[1]-}}" == {_FUNCTION} ]]; then\n  {_FUNCTION} "$@"\n'
        f"elif (( $+functions[compdef] )); then\n  compdef {_FUNCTION} {PROGRAM} {SHORT_NAME}\nfi\n"
    )
    return "".join(parts)


def _function(line: CommandLine, verb: VerbShape) -> str:
    name = "-".join((_FUNCTION, *verb.path))
    settings = f' "${{{_SETTINGS}[@]}}"' if line.takes_all(verb) else ""
    own = _specs(line.own(verb)).rstrip("\n").replace("\n", " \\\n")
    arguments = "".join(f" \\\n    {_quoted(_argument(each))}" for each in verb.arguments)
    if not verb.verbs:
        return f"{name}() {{\n  _arguments{settings} \\\n{own}{arguments}\n}}\n\n"
    offered = "".join(f"      {_quoted(f'{each.name}:{each.summary}')}\n" for each in verb.verbs)
    leads = "".join(f"        {each.name}) {name}-{each.name} ;;\n" for each in verb.verbs)
    return (
        f"{name}() {{\n"
        "  local curcontext=$curcontext state line\n  typeset -A opt_args\n  local -a verbs\n"
        f"  _arguments -C \\\n{own} \\\n    '1: :->verb' '*:: :->rest'\n"
        "  case $state in\n    verb)\n"
        f"      verbs=(\n{offered}      )\n      _describe -t commands verb verbs\n      ;;\n"
        f"    rest)\n      case $line[1] in\n{leads}      esac\n      ;;\n  esac\n}}\n\n"
    )


def _specs(flags: tuple[FlagShape, ...]) -> str:
    return "".join(f"    {_quoted(spec)}\n" for flag in flags for spec in _spec(flag))


def _spec(flag: FlagShape) -> list[str]:
    """As ``_arguments`` takes them: ``(others)--name=[description]:message:action``, one for each name."""
    others = "*" if flag.repeats else f"({' '.join(flag.names)})" if len(flag.names) > 1 else ""
    described = f"[{_BRACKET.sub(_ESCAPED, first_sentence(flag.help))}]" if flag.help else ""
    if flag.takes is Takes.NOTHING:
        return [f"{others}{name}{described}" for name in flag.names]
    action, message = _action(flag), _message(flag.metavar)
    return [
        f"{others}{name}{'=' if name.startswith('--') else '+'}{described}:{message}:{action}" for name in flag.names
    ]


def _argument(argument: ArgumentShape) -> str:
    return f"{'*:' if argument.repeats else '::'}{_message(argument.metavar)}:{_action(argument)}"


def _action(of: FlagShape | ArgumentShape) -> str:
    return f"({' '.join(of.choices)})" if of.takes is Takes.CHOICE else _ACTIONS[of.takes]


def _message(metavar: str) -> str:
    return metavar.replace(":", r"\:") or " "


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
