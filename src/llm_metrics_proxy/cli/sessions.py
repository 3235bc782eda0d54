"""``sessions``: which session used how much, and one of them request by request."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from llm_metrics_proxy.analytics import RequestFilter
from llm_metrics_proxy.analytics.session_agents import AgentNode, SessionUse
from llm_metrics_proxy.analytics.session_detail import MAX_REQUESTS, SessionDetail, SessionRequest, read_session
from llm_metrics_proxy.analytics.session_time import TimeShares
from llm_metrics_proxy.analytics.sessions import MAX_SESSIONS, SessionRow, SessionsQuery, list_sessions
from llm_metrics_proxy.cli.flags import READING, UnroundedJson, with_settings
from llm_metrics_proxy.cli.output import MISSING, console, duration, percent, plain, print_json, seconds_of
from llm_metrics_proxy.cli.selection import open_database, with_selection
from llm_metrics_proxy.cli.tables import ListColumn, layout, lines, list_table, print_table, table, widened
from llm_metrics_proxy.config.sources import Loaded
from llm_metrics_proxy.errors import QueryError

_NO_SESSIONS: Final = (
    "No session is like that. Claude Code, Codex, OpenCode and Open WebUI name theirs; other clients can send the "
    "header x-llm-metrics-session."
)

sessions = typer.Typer(
    name="sessions",
    help="Which session or agent run used how many tokens, and what it cost.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def _count(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def _money(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.4f}"


def _lasted(ms: float | None) -> str:
    return MISSING if ms is None else duration(ms / 1000)


_COLUMNS: Final = (
    ListColumn("session", 36, lambda row: plain(row.session_id), least=12),
    ListColumn("app", 14, lambda row: plain(row.app), least=8, drop=6),
    ListColumn("user", 16, lambda row: plain(row.user), least=8, drop=9),
    ListColumn("last request (UTC)", 19, lambda row: seconds_of(row.last_request), least=19, drop=4),
    ListColumn("lasted", 11, lambda row: _lasted(row.duration_ms), drop=5),
    ListColumn("agents", 6, lambda row: _count(row.agents), drop=8),
    ListColumn("requests", 8, lambda row: _count(row.requests)),
    ListColumn("errors", 6, lambda row: _count(row.errors), drop=7),
    ListColumn("tokens", 12, lambda row: _count(row.total_tokens)),
    ListColumn("cache hit", 9, lambda row: percent(row.cache_hit_ratio), drop=3),
    ListColumn("cost USD", 10, lambda row: _money(row.cost_usd), drop=1),
)


@sessions.command("list")
@with_settings(*READING)
@with_selection
def list_(
    loaded: Loaded,
    chosen: RequestFilter,
    *,
    order: Annotated[
        str, typer.Option(help="Sort by this, such as total_tokens, cost_usd or errors; with - in front, descending.")
    ] = "-total_tokens",
    limit: Annotated[int, typer.Option(min=1, max=MAX_SESSIONS, help="How many.")] = 20,
    json: UnroundedJson = False,
) -> None:
    """Show the sessions that used the most tokens, or the first in another order.

    A session with one selected request is shown whole.
    """
    with open_database(loaded) as (records, _):
        page = list_sessions(records, SessionsQuery(filter=chosen, order=order, limit=limit), datetime.now(UTC))
    if json:
        print_json(page)
        return
    out = console()
    if not page.items:
        out.print(_NO_SESSIONS, soft_wrap=True)
        return
    _print_sessions(out, page.items)
    if page.next_cursor is not None:
        out.print(f"There are more: --limit shows up to {MAX_SESSIONS}, and the flags select.")


def _print_sessions(out: Console, rows: Sequence[SessionRow]) -> None:
    columns = layout(widened(_COLUMNS, rows, snug=True), out.width)
    out.print(list_table(columns, rows, lambda row: "green" if row.is_live else None))


@sessions.command("show")
@with_settings(*READING)
def show(
    loaded: Loaded,
    session_id: Annotated[str, typer.Argument(metavar="SESSION", help="A session_id, as `sessions list` shows it.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_REQUESTS, help="Show so many of its requests.")] = 50,
    json: UnroundedJson = False,
) -> None:
    """Show one session: where its time, tokens and money went, its agents, and its requests in order."""
    with open_database(loaded) as (records, _):
        found = read_session(records, session_id, datetime.now(UTC), limit=limit)
    if found is None:
        raise QueryError("session", f"no record has the session_id {session_id[:256]!r}; `sessions list` shows ids")
    if json:
        print_json(found)
    else:
        print_session(found)


def print_session(found: SessionDetail) -> None:
    """A few facts, then three tables."""
    out, row = console(), found.session
    known = "" if row.cost_requests == row.requests else f" (of {row.cost_requests:,} requests; of the others unknown)"
    facts = [
        ("Session", plain(row.session_id)),
        ("Application", plain(row.app)),
        ("User", plain(row.user)),
        ("Models", ", ".join(map(plain, row.models)) or MISSING),
        ("From", f"{plain(row.first_request)} to {plain(row.ended_at)}{', still live' if row.is_live else ''}"),
        ("Lasted", _lasted(row.duration_ms)),
        ("Requests", f"{row.requests:,}, {row.errors:,} with an error"),
        ("Tokens", f"{_count(row.total_tokens)} ({_count(row.prompt_tokens)} in, {_count(row.completion_tokens)} out)"),
        ("Cache hit", f"{percent(row.cache_hit_ratio)} of {row.cache_hit_requests:,} requests that report it"),
        ("Cost", f"{_money(row.cost_usd)} USD{known}"),
    ]
    facts += [("Started by", plain(found.parent_session_id))] if found.parent_session_id is not None else []
    lines(out, facts)
    if found.counted_requests < row.requests:
        out.print(f"What follows is of its first {found.counted_requests:,} requests.")
    _print_time(out, found.time)
    _print_agents(out, found.agents)
    _print_misses(out, found)
    if found.children:
        out.print("\nSessions that it started")
        _print_sessions(out, found.children)
    _print_requests(out, found.requests)
    if found.next_offset is not None:
        out.print(f"… and {found.counted_requests - len(found.requests):,} more; --limit shows up to {MAX_REQUESTS:,}.")


_PARTS: Final = {
    "waiting_ms": "waiting for the request and a connection",
    "first_token_ms": "server, until the first token",
    "generating_ms": "server, from then on",
    "undivided_ms": "server, answers that were not streamed",
    "between_ms": "client, up to a minute between requests",
    "pauses_ms": "client, longer pauses",
}


def _print_time(out: Console, time: TimeShares) -> None:
    shown = table("time", "lasted", "share", numbers={"lasted", "share"}, gap_above=True)
    for name, words in _PARTS.items():
        part = getattr(time, name)
        if part:
            shown.add_row(words, _lasted(part), percent(part / time.total_ms))
    print_table(out, shown)


def _used(used: SessionUse) -> list[str]:
    shown = (used.requests, used.errors, used.total_tokens, used.cached_tokens)
    return [*map(_count, shown), _money(used.cost_usd), _lasted(used.busy_ms)]


def _print_agents(out: Console, agents: Sequence[AgentNode]) -> None:
    """With what each started: the first row is the session."""
    titles = ("requests", "errors", "tokens", "cached", "cost USD", "server time")
    shown = table("agent", *titles, numbers=set(titles), gap_above=True)
    for agent in agents:
        name = "the session" if agent.agent_id is None else plain(agent.agent_id)
        shown.add_row(f"{'  ' * min(agent.depth, 8)}{name}", *_used(agent.whole))
    print_table(out, shown)


def _print_misses(out: Console, found: SessionDetail) -> None:
    if not found.misses:
        return
    numbers = {"requests", "tokens not cached"}
    shown = table("cache misses", "requests", "tokens not cached", numbers=numbers, gap_above=True)
    for miss in found.misses:
        shown.add_row(plain(miss.reason or "no reason given"), _count(miss.requests), _count(miss.uncached_tokens))
    print_table(out, shown)


def _number(name: str) -> Any:
    return lambda one: _count(getattr(one, name))


_REQUESTS: Final = (
    ListColumn("at", 11, lambda one: f"+{duration(one.start_ms / 1000)}"),
    ListColumn("agent", 16, lambda one: plain(one.agent_id), least=8, drop=6),
    ListColumn("model", 24, lambda one: plain(one.model), least=12, drop=5),
    ListColumn("gap", 11, lambda one: _lasted(one.gap_ms) if one.gap_ms else "", drop=4),
    ListColumn("lasted", 11, lambda one: _lasted(one.response_time_ms)),
    ListColumn("first token", 11, lambda one: _lasted(one.first_token_ms), drop=7),
    ListColumn("in tok", 9, _number("prompt_tokens")),
    ListColumn("cached", 9, _number("cached_tokens"), drop=3),
    ListColumn("cache", 5, lambda one: plain(one.cache), least=5, drop=2),
    ListColumn("out tok", 8, _number("completion_tokens")),
    ListColumn("cost USD", 9, lambda one: _money(one.cost_usd), drop=1),
    ListColumn("end", 16, lambda one: plain(one.error_type or one.finish_reason), least=8, drop=8),
)


def _print_requests(out: Console, requests: Sequence[SessionRequest]) -> None:
    out.print()
    columns = layout(widened(_REQUESTS, requests, snug=True), out.width)
    out.print(list_table(columns, requests, lambda one: "red" if one.success is False else None))
