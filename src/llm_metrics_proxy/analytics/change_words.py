"""A movement in a sentence, as people say it in English."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from llm_metrics_proxy.analytics.change_search import Segment, ToldMovement

_NUMBERS: Final = {
    "time_to_first_token_ms.mean": "first token",
    "response_time_ms.mean": "response time",
    "output_tokens_per_second.mean": "output speed",
    "error_rate": "error rate",
    "cost_per_request_usd": "cost per request",
}
_DIMENSIONS: Final = {"backend_name": "backend", "api_key_id": "API key", "origin": "origin"}
_SECOND_MS: Final = 1000


def _time(value: float) -> str:
    return f"{value / _SECOND_MS:.3g} sec" if value >= _SECOND_MS else f"{value:.3g} ms"


_SHOWN: Final[Mapping[str, Callable[[float], str]]] = {
    "ms": _time,
    "tokens/s": lambda value: f"{value:.3g} tok/s",
    "USD": lambda value: f"${value:.2g}",
    "": lambda value: f"{value:.2%}",
}


def segment_words(segment: Segment) -> str:
    """``model a on backend b``, or ``all requests``."""
    return " and ".join(_named(name, value) for name, value in segment) or "all requests"


def _named(name: str, value: Any) -> str:
    if name == "streaming":
        return "streamed requests" if value else "requests that are not streamed"
    return f"{_DIMENSIONS.get(name, name)} {'(none)' if value is None else value}"


def sentence(one: ToldMovement) -> str:
    """What moved, how far, and of a shift which way the traffic went."""
    shown = _SHOWN.get(one.number.unit, "{:g}".format)
    before, after, change = shown(one.effect.before), shown(one.effect.after), one.effect.change
    far = f"{change * 100:+.2g} points" if one.number.share else f"{change:+.1%}"
    what = _NUMBERS[one.number.name]
    if one.by is None:
        counts = f"n = {one.effect.n_before:,} and {one.effect.n:,}"
        return f"{what.capitalize()} of {segment_words(one.segment)}: {before} before, {after} now ({far}; {counts})."
    moved = ", ".join(
        f"{_named(one.by, part.value)} {part.before:.0%} of requests before, {part.after:.0%} now" for part in one.parts
    )
    return (
        f"{what.capitalize()} of {segment_words(one.segment)}: {far} by a shift of traffic alone, not because anything "
        f"works otherwise than before ({moved})."
    )
