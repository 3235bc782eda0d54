"""The executive summary: what a person would say about the numbers, each sentence with them and what they rest on."""

from collections.abc import Callable
from typing import Final

from llm_metrics_proxy.reports.model import Figure, Report, Table
from llm_metrics_proxy.reports.numbers import count, isolated, length, moment, percent, shown

_LITTLE: Final = 30  # with fewer records a percentile says little


def sentences(report: Report) -> list[str]:
    """In the order of importance; nothing is said about what is not known."""
    if report.records == 0:
        return [f"There were no requests from {_range(report)}."]
    return [text for sentence in _SENTENCES if (text := sentence(report))]


def _range(report: Report) -> str:
    return f"{moment(report.start, report.timezone)} to {moment(report.end, report.timezone)} ({report.timezone})"


def figure(report: Report, metric: str) -> Figure | None:
    """The figure of that name, if there is one and it is known."""
    return next((one for one in report.figures if one.name == metric and one.value is not None), None)


def _before(one: Figure) -> str:
    return "" if one.previous is None else f" (before: {shown(one.previous, one.unit)})"


def _requests(report: Report) -> str:
    one = figure(report, "requests")
    span = length(report.start, report.end)
    if one is None or not one.previous:
        return f"{count(report.records)} requests in {span}; there were none in the {span} before."
    change = (one.value or 0) - one.previous
    if change == 0:
        return f"{count(report.records)} requests in {span}, as many as in the {span} before."
    than = "more" if change > 0 else "fewer"
    return (
        f"{count(report.records)} requests in {span}, {percent(abs(change) / one.previous)} {than} than in the {span} "
        f"before ({count(one.previous)})."
    )


def _success(report: Report) -> str:
    one = figure(report, "success_rate")
    if one is None or one.value is None:
        return ""
    failed = ""
    if report.errors.types:
        worst = report.errors.types[0]
        failed = (
            f" The most frequent error was {isolated(worst.type)} ({isolated(worst.category)}): {count(worst.n)} "
            f"{'time' if worst.n == 1 else 'times'}."
        )
    return f"{percent(one.value)} of requests succeeded{_before(one)}, of {count(one.n)} whose end is known.{failed}"


def _times(report: Report) -> str:
    half, most = figure(report, "response_time_ms.p50"), figure(report, "response_time_ms.p95")
    if half is None or most is None:
        return ""
    return (
        f"Half of the answers were complete within {shown(half.value, 'ms')}{_before(half)} and 95% within "
        f"{shown(most.value, 'ms')}{_before(most)}; n = {count(most.n)}.{_doubt(most)}"
    )


def _first_token(report: Report) -> str:
    half, most = figure(report, "time_to_first_token_ms.p50"), figure(report, "time_to_first_token_ms.p95")
    if half is None or most is None:
        return ""
    return (
        f"Streams showed their first token within {shown(half.value, 'ms')} at the median{_before(half)} and "
        f"{shown(most.value, 'ms')} at p95{_before(most)}; n = {count(most.n)}, {_share(most)} of requests."
        f"{_doubt(most)}"
    )


def _speed(report: Report) -> str:
    one = figure(report, "output_tokens_per_second.p50")
    if one is None:
        return ""
    return (
        f"Streams were written at {shown(one.value, one.unit)} at the median{_before(one)}; n = {count(one.n)}, "
        f"{_share(one)} of requests.{_doubt(one)}"
    )


def _tokens(report: Report) -> str:
    asked, answered = figure(report, "prompt_tokens"), figure(report, "completion_tokens")
    if asked is None or answered is None:
        return ""
    return (
        f"Servers reported {count(asked.value or 0)} tokens in and {count(answered.value or 0)} tokens out, for "
        f"{_share(answered)} of requests."
    )


def _cost(report: Report) -> str:
    one = figure(report, "cost_usd")
    if one is None:
        return ""
    rest = "" if one.coverage == 1 else " What the others cost is not known."
    return f"Cost: {shown(one.value, 'USD')}{_before(one)} for {count(one.n)} requests ({_share(one)}).{rest}"


def _caching(report: Report) -> str:
    hit, saved = figure(report, "cache_hit_ratio"), figure(report, "cache_savings_usd")
    if hit is None:
        return ""
    rest = "" if saved is None else f", which saved {shown(saved.value, 'USD')}"
    return f"{shown(hit.value, '')} of prompt tokens came from a cache{_before(hit)}{rest}; n = {count(hit.n)}."


def _outlook(report: Report) -> str:
    one = report.projection
    if one is None:
        return ""
    so_far = f"{one.month} has cost {shown(one.so_far_usd, 'USD')} so far (n = {count(one.n)})"
    if one.projected_usd is None:
        return f"{so_far}."
    return (
        f"{so_far}, and will cost about {shown(one.projected_usd, 'USD')} if it goes on as in the last "
        f"{one.basis_days:.3g} days."
    )


def _busiest(report: Report) -> str:
    found = []
    for dimension, word in (("model", "model"), ("origin", "client")):
        table = next((one for one in report.tables if one.dimension == dimension), None)
        if table is not None and (top := _first(table)) is not None:
            found.append(f"the busiest {word} was {top}")
    text = " and ".join(found)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _first(table: Table) -> str | None:
    group = next((one for one in table.groups if one.key is not None and not one.merged), None)
    return (
        None
        if group is None or group.share is None
        else f"{isolated(group.key)} with {percent(group.share)} of requests"
    )


def _share(one: Figure) -> str:
    return "an unknown share" if one.coverage is None else percent(one.coverage)


def _doubt(one: Figure) -> str:
    return f" With only {one.n} this says little." if one.n < _LITTLE else ""


_SENTENCES: Final[tuple[Callable[[Report], str], ...]] = (
    _requests,
    _success,
    _times,
    _first_token,
    _speed,
    _tokens,
    _cost,
    _caching,
    _outlook,
    _busiest,
)
