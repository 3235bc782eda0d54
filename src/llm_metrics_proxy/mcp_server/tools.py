"""The table of tools: what each takes, which question of the API that is, what it tells, where the dashboard shows it.

Pure. Limits are lower than the API's: an agent reads every row.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from llm_metrics_proxy.analytics.calendar import BUCKETS
from llm_metrics_proxy.analytics.records import SESSION_ORDERS
from llm_metrics_proxy.errors import QueryError
from llm_metrics_proxy.mcp_server import telling
from llm_metrics_proxy.mcp_server.arguments import SELECTION, Argument, chosen, parameters, read_arguments
from llm_metrics_proxy.mcp_server.explained import explain, vocabulary
from llm_metrics_proxy.mcp_server.links import ShownRecords, explored, link
from llm_metrics_proxy.mcp_server.telling import Told

Read = Mapping[str, Any]
USUAL_METRICS: Final = (
    "requests", "success_rate", "response_time_ms.p50", "response_time_ms.p95", "time_to_first_token_ms.p95",
    "total_tokens", "cost_usd",
)  # fmt: skip


class AskedQuestion(NamedTuple):
    """One question: ``path`` below ``api/v1/``; and the ``view`` that shows the same, with what its link says."""

    path: str
    parameters: list[tuple[str, str]]
    shown: ShownRecords
    view: str
    more: dict[str, str | None]


class Tool(NamedTuple):
    """``ask``: the question that arguments are; ``tell``: what its answer says in few words."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    ask: Callable[[Read, ShownRecords], AskedQuestion]
    tell: Callable[[dict[str, Any], Read], Told]


_METRICS: Final = Argument(
    "metrics",
    "texts",
    "Such as `requests`, `error_rate`, `total_tokens`, `cost_usd`, or a column with a statistic (mean, min, max, sum, "
    "count, p0.1 to p99.9): `response_time_ms.p95`. The tool `explain` lists all.",
    USUAL_METRICS,
)
_BY: Final = Argument(
    "by", "texts", "Dimensions, such as `model`, `user`, `app`, `backend_name`, `time`, `hour_of_day`, `tag:<key>`."
)
_TIMEZONE: Final = Argument("timezone", "text", "IANA zone whose calendar divides time.", "UTC")


def _limit(meaning: str, usual: int, most: int) -> Argument:
    return Argument("limit", "whole", meaning, usual, most)


def _ask_query(read: Read, shown: ShownRecords) -> AskedQuestion:
    metrics, by, bucket = read["metrics"], read["by"] or (), read["bucket"]
    given = {
        "metrics": ",".join(metrics),
        "group_by": ",".join(by),
        "bucket": bucket,
        "timezone": read["timezone"],
        "order": read["order"],
        "limit": str(read["limit"]),
    }
    more = explored(metrics, by, compare=False, bucket=bucket)
    return AskedQuestion("query", _given(given) + parameters(shown), shown, "explore", {**more, "tz": read["timezone"]})


def _ask_compare(read: Read, shown: ShownRecords) -> AskedQuestion:
    metrics, by = read["metrics"], read["by"] or ()
    given = {
        "metrics": ",".join(metrics),
        "by": ",".join(by),
        "timezone": read["timezone"],
        "limit": str(read["limit"]),
    }
    more = explored(metrics, by, compare=True, bucket=None)
    asked = _given(given) + parameters(_with_start(shown))
    return AskedQuestion("compare", asked, shown, "explore", {**more, "tz": read["timezone"]})


def _ask_changes(read: Read, shown: ShownRecords) -> AskedQuestion:
    given = {"timezone": read["timezone"], "limit": str(read["limit"])}
    return AskedQuestion("changes", _given(given) + parameters(_with_start(shown)), shown, "", {"tz": read["timezone"]})


def _ask_summary(_: Read, shown: ShownRecords) -> AskedQuestion:
    return AskedQuestion("summary", parameters(shown), shown, "", {})


def _ask_errors(read: Read, shown: ShownRecords) -> AskedQuestion:
    return AskedQuestion("errors", [("examples", str(read["examples"])), *parameters(shown)], shown, "errors", {})


def _ask_sessions(read: Read, shown: ShownRecords) -> AskedQuestion:
    one = read["session_id"]
    if one is not None:
        path = f"sessions/{quote(one, safe='')}/"  # the slash at the end is no part of the id
        return AskedQuestion(
            path, [("limit", str(read["limit"]))], ShownRecords("all", None, None), "sessions", {"session": one}
        )
    order = f"-{read['order']}"
    given = {"order": order, "limit": str(read["limit"])}
    return AskedQuestion("sessions", _given(given) + parameters(shown), shown, "sessions", {"sort": order})


def _ask_slowest(read: Read, shown: ShownRecords) -> AskedQuestion:
    order = f"-{read['column']}"
    given = {"order": order, "limit": str(read["limit"])}
    return AskedQuestion("requests", _given(given) + parameters(shown), shown, "requests", {"order": order})


def _given(words: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in words.items() if value]


def _with_start(shown: ShownRecords) -> ShownRecords:
    if shown.start is None:
        raise QueryError("since", "to compare with the period before, this one must begin: give an age such as 24h")
    return shown


def _tell_sessions(answer: dict[str, Any], read: Read) -> Told:
    return telling.of_sessions(answer) if read["session_id"] is None else telling.of_session(answer)


_ROWS: Final = (
    Tool(
        "summary",
        "Summary of requests",
        "What the selected requests amount to: how many, success rate, outcomes, latency percentiles, tokens, cost, "
        "caching. Begin here.",
        SELECTION,
        _ask_summary,
        lambda answer, _: telling.of_summary(answer),
    ),
    Tool(
        "query",
        "Any metrics by any dimensions",
        "Measure anything by anything: requests per hour, p95 latency by model, cost by user, tokens by application.",
        (
            _METRICS,
            _BY,
            *SELECTION,
            Argument("bucket", "text", "Length of the buckets of the dimension `time`.", words=tuple(BUCKETS)),
            _TIMEZONE,
            Argument("order", "text", "A metric or dimension of this query to sort by; descending with - in front."),
            _limit("Groups; all others are one row together.", 20, 100),
        ),
        _ask_query,
        lambda answer, _: telling.of_query(answer),
    ),
    Tool(
        "compare",
        "A period and the one before",
        "The same metrics for this period and for the one of the same length before, with the change of each.",
        (_METRICS, _BY, *SELECTION, _TIMEZONE, _limit("Groups; all others are one row together.", 20, 100)),
        _ask_compare,
        lambda answer, _: telling.of_query(answer),
    ),
    Tool(
        "what_changed",
        "What changed, and where",
        "What got slower, dearer or worse since the period before, beyond chance, and in which model, user, "
        "application or server; and what is only a shift of traffic.",
        (*SELECTION, _TIMEZONE, _limit("Changes told, the weightiest first.", 6, 20)),
        _ask_changes,
        lambda answer, _: telling.of_changes(answer),
    ),
    Tool(
        "errors",
        "Errors, and what to do",
        "What went wrong, how often, since when, for which models and servers; what each kind of error means and what "
        "to do about it; the newest examples.",
        (*SELECTION, Argument("examples", "whole", "Newest errors shown.", 5, 20)),
        _ask_errors,
        lambda answer, _: telling.of_errors(answer),
    ),
    Tool(
        "sessions",
        "Sessions of agents and chats",
        "Sessions with what each used (requests, tokens, cost, cache), the largest first; or one of them by its "
        "`session_id`: its requests in order, its agents, where time and money went.",
        (
            Argument("session_id", "text", "Show this session alone."),
            *SELECTION,
            Argument("order", "text", "What to sort by, the greatest first.", "total_tokens", words=SESSION_ORDERS),
            _limit("Sessions, or requests of the one session.", 10, 100),
        ),
        _ask_sessions,
        _tell_sessions,
    ),
    Tool(
        "slowest_requests",
        "Single requests, the slowest first",
        "Single requests with the greatest value of a column: the slowest, those with the most tokens, the dearest.",
        (
            Argument("column", "text", "Sort by this, the greatest first.", "response_time_ms"),
            *SELECTION,
            _limit("Requests.", 10, 50),
        ),
        _ask_slowest,
        lambda answer, read: telling.of_requests(answer, read["column"]),
    ),
)
EXPLAIN: Final = "explain"
_EXPLAINED: Final = (
    Argument("name", "text", "A metric, dimension, column or error type. Without it: the names of all."),
)
TOOLS: Final = {row.name: row for row in _ROWS}


class Described(NamedTuple):
    """What clients are told of a tool."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]


def described() -> list[Described]:
    """Every tool."""
    meaning = "What a metric, dimension, column or error type means: unit, definition, when it is missing."
    return [
        *(Described(*row[:4]) for row in _ROWS),
        Described(EXPLAIN, "What a name means", meaning, _EXPLAINED),
    ]


def ask(tool: Tool, given: Mapping[str, Any], now: datetime) -> tuple[AskedQuestion, Read]:
    """The question. Raises ``QueryError``."""
    read = read_arguments(tool.arguments, given)
    return tool.ask(read, chosen(read, now)), read


def tell(tool: Tool, asked: AskedQuestion, read: Read, answer: dict[str, Any], dashboard: str) -> Told:
    """The answer in few words, with the link."""
    address = link(dashboard, asked.view, asked.shown, asked.more)
    return telling.fitted({"link": address, **tool.tell(answer, read)})


def explained(given: Mapping[str, Any], dashboard: str) -> Told:
    """The answer of ``EXPLAIN``. Raises ``QueryError``."""
    name = read_arguments(_EXPLAINED, given)["name"]
    return telling.fitted({"link": f"{dashboard}docs", **(vocabulary() if name is None else explain(name))})
