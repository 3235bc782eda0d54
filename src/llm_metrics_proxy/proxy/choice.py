"""Which of several backends serves a request: pure. Values in, an index out; ``fleet`` keeps what changes.

In this order, each step among what the one before left:

1. the backend whose name is the first segment of the path;
2. those whose dialect the path belongs to;
3. those that list the request's model; those without a list serve what nobody lists;
4. those that are well and were not tried yet for this request; if none is well, the least bad one;
5. the one with the fewest open requests for its weight; among equals, turn by turn in proportion to their weights.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from llm_metrics_proxy.globs import matches
from llm_metrics_proxy.wire.dialects import Family
from llm_metrics_proxy.wire.endpoints import listed_model

# What a backend of a dialect understands. Ollama and Bedrock offer others' operations besides their own; Google does so
# too, but below paths of its own.
SPEAKS: Final[dict[str, frozenset[Family]]] = {
    "openai": frozenset({Family.OPENAI, Family.SHARED}),
    "anthropic": frozenset({Family.ANTHROPIC}),
    "ollama": frozenset({Family.OLLAMA, Family.OPENAI, Family.SHARED}),
    "bedrock": frozenset({Family.BEDROCK, Family.OPENAI, Family.ANTHROPIC}),
    "cohere": frozenset({Family.COHERE, Family.SHARED}),
    "gemini": frozenset({Family.GEMINI}),
}
# Families whose servers list their models as OpenAI does.
_LISTING: Final = frozenset({Family.OPENAI, Family.ANTHROPIC, Family.OLLAMA})


class RoutingRule(msgspec.Struct, frozen=True):
    """What a backend serves, as the settings say."""

    name: str | None
    weight: int = 1
    models: tuple[str, ...] = ()  # globs; none: whatever nobody lists
    dialect: str | None = None  # a key of ``SPEAKS``; none: every API


def lists_models(rule: RoutingRule) -> bool:
    """A backend whose models are part of the list that several backends have together."""
    return rule.dialect is None or not _LISTING.isdisjoint(SPEAKS[rule.dialect])


class Load(msgspec.Struct, frozen=True):
    """How one of the backends that may serve the request stands. ``credit``: see ``choose``."""

    weight: int
    open_requests: int
    ejected: bool = False
    failures: int = 0  # in a row
    failed_ns: int = 0  # when the newest one came
    credit: int = 0


def model_in_target(target: bytes) -> str | None:
    """The model that a request's path or query names: ``/v1/models/{model}``, ``/v1/realtime?model=…``."""
    path, _, query = target.decode("latin-1").partition("?")
    if (listed := listed_model(path)) is not None:
        return listed
    named = (part.partition("=") for part in query.split("&"))
    return next((unquote_plus(value) for name, _, value in named if name == "model" and value), None)


def split_prefix(target: bytes, names: frozenset[bytes]) -> tuple[bytes, bytes] | None:
    """``(name, target without it)`` if the target's first segment, as it was sent, is one of ``names``."""
    path_end = target.find(b"?")
    path = target if path_end < 0 else target[:path_end]
    name, slash, rest = path[1:].partition(b"/")
    if name not in names:
        return None
    return name, (b"/" + rest if slash else b"/") + target[len(path) :]


def eligible(rules: Sequence[RoutingRule], model: str | None, family: Family | None) -> list[int]:
    """Indices of the backends that serve a model at a path of that family; none: nobody does.

    Without a model (an upload, a list of files) every backend of the dialect will do.
    """
    speaking = [
        index
        for index, each in enumerate(rules)
        if family is None or each.dialect is None or family in SPEAKS[each.dialect]
    ]
    if model is None:
        return speaking
    listing = [index for index in speaking if any(matches(glob, model) for glob in rules[index].models)]
    return listing or [index for index in speaking if not rules[index].models]


def choose(loads: Sequence[Load]) -> tuple[int, list[int]]:
    """The one to take of at least one, and every one's credit afterwards.

    The fewest open requests for its weight; among those that are equal in that (all idle, most of the time), smooth
    weighted round-robin as nginx does it: everybody gains its weight, the richest is taken and pays what all gained.
    With all ejected, the one that failed the fewest times in a row, and of these the one whose failure is oldest.
    """
    credited = [load.credit for load in loads]
    least: list[int] = []  # loaded, all of them equally
    for index, load in enumerate(loads):
        if load.ejected:
            continue
        if least:
            # Cross-multiplied, so that equal is equal: 1/3 and 2/6 as floats need not be.
            other = loads[least[0]]
            mine, its = load.open_requests * other.weight, other.open_requests * load.weight
            if mine > its:
                continue
            if mine < its:
                least.clear()
        least.append(index)
    if not least:
        return min(range(len(loads)), key=lambda index: (loads[index].failures, loads[index].failed_ns)), credited
    gained = 0
    for index in least:
        credited[index] += loads[index].weight
        gained += loads[index].weight
    taken = max(least, key=credited.__getitem__)
    credited[taken] -= gained
    return taken, credited
