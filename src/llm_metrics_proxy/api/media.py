"""Which kind of answer a client prefers: the header Accept (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Sequence
from typing import Final

_WEIGHT: Final = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")


def preferred(accepted: str, there: Sequence[str]) -> str:
    """The media type of ``there`` with the greatest weight; of equals, the one that stands first.

    The first where the header is empty or takes none of them: an answer is of more use than a refusal.
    """
    weights = _weights(accepted)

    def weight(media_type: str) -> float:
        kind = media_type.partition("/")[0]
        found = (weights[one] for one in (media_type, f"{kind}/*", "*/*") if one in weights)
        return next(found, 0.0)

    return max(there, key=weight)


def _weights(accepted: str) -> dict[str, float]:
    """By media range; other parameters than the weight count for nothing, and a weight that is none is 0."""
    found: dict[str, float] = {}
    for part in accepted.lower().split(","):
        media_range, *parameters = (each.strip() for each in part.split(";"))
        given = [text.strip() for name, _, text in (one.partition("=") for one in parameters) if name.strip() == "q"]
        weight = 1.0 if not given else float(given[0]) if _WEIGHT.fullmatch(given[0]) else 0.0
        found[media_range] = max(weight, found.get(media_range, 0.0))
    return found
