"""Which coding an answer's body gets: the header Accept-Encoding (RFC 9110 section 12.5.3)."""

import re
from collections.abc import Sequence
from typing import Final

IDENTITY: Final = "identity"
_WEIGHT: Final = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_LEAST: Final = 0.0005  # below every weight that can be written: identity is allowed where nothing names it


def choose(accepted: str, there: Sequence[str]) -> str:
    """The coding with the greatest weight; of equals, the one that stands first in ``there``.

    ``identity`` where the header is empty, names nothing that is there, or forbids everything: an answer is of more use
    than a refusal.
    """
    weights = _weights(accepted)
    others = weights.get("*", 0.0)

    def weight(coding: str) -> float:
        least = _LEAST if coding == IDENTITY and "*" not in weights else others
        return weights.get(coding, least)

    best = max(there, key=weight, default=IDENTITY)
    return best if weight(best) > 0 else IDENTITY


def _weights(accepted: str) -> dict[str, float]:
    """What cannot be read is not wanted."""
    found: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, rest = (each.strip() for each in part.partition(";"))
        match = _WEIGHT.fullmatch(rest)
        if name:
            found[name.removeprefix("x-")] = 1.0 if not rest else float(match[1]) if match else 0.0
    return found
