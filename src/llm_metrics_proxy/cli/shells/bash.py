"""Completion for bash (3.2 and newer, with or without the package bash-completion)."""

from typing import Final

from llm_metrics_proxy.cli.shells.tree import PROGRAM, SHORT_NAME, CommandLine, FlagShape, Takes, VerbShape

_FUNCTION: Final = "_llm_metrics_proxy"
_ACTIONS: Final = {
    Takes.TEXT: ":",
    Takes.FILE: f"{_FUNCTION}_paths -f",
    Takes.FOLDER: f"{_FUNCTION}_paths -d",
}

_HEAD: Final = f"""\
# bash completion of {PROGRAM}; made from its verbs by `{PROGRAM} completion bash`.
#   eval "$({PROGRAM} completion bash)"        in ~/.bashrc, or this file in a folder of bash-completion

{_FUNCTION}_paths() {{
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$cur"))
}}

{_FUNCTION}_words() {{
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}}

{_FUNCTION}() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} verb= word words= i
  # bash takes --flag=value apart at =
  if [[ $cur == = ]]; then
    cur=
  elif [[ $prev == = ]]; then
    prev=${{COMP_WORDS[COMP_CWORD-2]}}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case $verb/$word in
"""

_TAIL: Final = f"""\
  esac
  {_FUNCTION}_words "$words"
}}

complete -F {_FUNCTION} {PROGRAM} {SHORT_NAME}
"""


def script(line: CommandLine) -> str:
    """The whole script."""
    paths = [verb for verb in line.root.walk() if verb.path]
    lead = [f"      {_key(verb.path[:-1])}/{verb.name}) verb={_key(verb.path)} ;;\n" for verb in paths]
    asked = ["    esac\n  done\n  case $verb$prev in\n", *_values(line), "  esac\n"]
    settings = f"  local settings='{_names(line.settings)}'\n"
    offered = ["  case $verb in\n", *(_offer(line, verb) for verb in line.root.walk())]
    return "".join([_HEAD, *lead, *asked, settings, *offered, _TAIL])


def _key(path: tuple[str, ...]) -> str:
    """As ``$verb`` has it; a space is written so that the shell does not take it apart."""
    return "\\ ".join(path) if path else ""


def _names(flags: tuple[FlagShape, ...]) -> str:
    return " ".join(name for flag in flags for name in flag.names)


def _offer(line: CommandLine, verb: VerbShape) -> str:
    words = " ".join([*(each.name for each in verb.verbs), *(word for each in verb.arguments for word in each.choices)])
    own = _names(line.own(verb))
    settings = " $settings" if line.takes_all(verb) else ""
    paths = [_ACTIONS[each.takes] for each in verb.arguments if each.takes in {Takes.FILE, Takes.FOLDER}]
    places = "".join(f"[[ $cur == -* ]] || {{ {action}; return; }}; " for action in paths)
    return f'    {_key(verb.path) or repr("")}) {places}words="{f"{words} " if words else ""}{own}{settings}" ;;\n'


def _values(line: CommandLine) -> list[str]:
    """What follows a flag; written once where it is the same for every verb that has the flag."""
    wanted: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for verb in line.root.walk():
        for flag in verb.flags:
            if flag.takes is not Takes.NOTHING:
                for name in flag.names:
                    wanted.setdefault(name, {}).setdefault(_action(flag), []).append(verb.path)
    same: dict[str, list[str]] = {}
    for name, actions in wanted.items():
        for action, paths in actions.items():
            places = [f"*{name}"] if len(actions) == 1 else [f"{_key(path)}{name}" for path in paths]
            same.setdefault(action, []).extend(places)
    # A verb's own comes before what holds for all, and `*--host` must not take `*--metrics-host`: no name ends so,
    # because every name begins with the dashes.
    return [f"    {'|'.join(sorted(places))}) {action}; return ;;\n" for action, places in sorted(same.items())]


def _action(flag: FlagShape) -> str:
    if flag.takes is Takes.CHOICE:
        return f"{_FUNCTION}_words '{' '.join(flag.choices)}'"
    return _ACTIONS[flag.takes]
