"""The picture of ``top``: a line of figures, a table of models, and the newest requests in the room that is left."""

from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llm_metrics_proxy.analytics.headings import short
from llm_metrics_proxy.cli.output import MISSING, plain, rounded, seconds_of
from llm_metrics_proxy.cli.requests import how_it_ended
from llm_metrics_proxy.cli.tables import ListColumn, layout, list_table, widened
from llm_metrics_proxy.cli.top_window import ModelLine, TopFrame, failed

_MODELS_SHARE: Final = 0.5  # of the height, at most
_AROUND: Final = 8  # lines that are neither a model nor a request
_LEAST_ROWS: Final = 3
_WIDEST: Final = 160  # columns of numbers further apart are hard to read as lines


def picture(snapshot: TopFrame, width: int, height: int, *, snug: bool = False) -> RenderableType:
    """As many lines as ``height`` has room for, none of them longer than ``width``. ``snug`` tables are as wide as what
    they say, which on a screen that is drawn again and again would make them jump."""
    width = min(width, _WIDEST)
    room = max(2 * _LEAST_ROWS, height - _AROUND)
    models = snapshot.models[: max(_LEAST_ROWS, int(room * _MODELS_SHARE))]
    further = len(snapshot.models) - len(models)
    newest = snapshot.newest[: max(0, room - len(models) - bool(further))]
    return Group(
        _head(snapshot),
        _figures(snapshot),
        _rule(width),
        _models(models, further, width, snug=snug),
        _rule(width),
        _newest(newest, width, snug=snug),
    )


def _head(snapshot: TopFrame) -> Text:
    now = datetime.now(UTC).strftime("%H:%M:%S UTC")
    text = Text.assemble(("LLM Metrics Proxy", "bold"), f"  {snapshot.source}", no_wrap=True, overflow="ellipsis")
    text.append(f"  last {snapshot.window_s:.0f} s  {now}  q quits", "dim")
    if snapshot.problem:
        text.append(f"\n{_line(snapshot.problem)}", "yellow")
    return text


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _figures(snapshot: TopFrame) -> Text:
    share = MISSING if snapshot.error_rate is None else f"{snapshot.error_rate:.1%}"
    open_now = MISSING if snapshot.open_requests is None else f"{snapshot.open_requests:,}"
    figures = (
        (f"{snapshot.requests_per_second:,.1f}", "requests/s", "bold green"),
        (f"{snapshot.requests:,}", "requests", "bold"),
        (open_now, "open", "bold cyan"),
        (f"{snapshot.errors:,} ({share})", "errors", "bold red" if snapshot.errors else "bold"),
    )
    text = Text(no_wrap=True, overflow="ellipsis")
    for value, name, style in figures:
        text.append(value, style)
        text.append(f" {name}   ")
    if snapshot.cost_usd.sum is not None:
        text.append(f"{snapshot.cost_usd.sum:,.4f}", "bold")
        text.append(" USD, where known   ")
    if snapshot.unseen:
        text.append(f"{snapshot.unseen:,} more counted only", "yellow")
    return text


def _percentile(measure: str, share: str, width: int, *, drop: int) -> ListColumn:
    return ListColumn(
        short(f"{measure}.{share}"), width, lambda one: rounded(getattr(getattr(one, measure), share)), drop=drop
    )


def _cost(one: ModelLine) -> str:
    return MISSING if one.cost_usd.sum is None else f"{one.cost_usd.sum:,.4f}"


# A title is as wide as its column; names get the rest.
_MODELS: Final = (
    ListColumn("model", 64, lambda one: plain(one.model), least=12),
    ListColumn(short("requests_per_second"), 7, lambda one: f"{one.requests_per_second:,.1f}", drop=1),
    ListColumn(short("requests"), 8, lambda one: f"{one.requests:,}", drop=7),
    _percentile("time_to_first_token_ms", "p50", 11, drop=3),
    _percentile("time_to_first_token_ms", "p95", 11, drop=6),
    _percentile("output_tokens_per_second", "p50", 13, drop=4),
    ListColumn(short("cost_usd"), 9, _cost, drop=5),
    ListColumn(short("errors"), 6, lambda one: Text(f"{one.errors:,}", "red" if one.errors else ""), drop=2),
)


def _record(name: str, width: int = 9, *, drop: int) -> ListColumn:
    return ListColumn(short(name), width, lambda record: rounded(record.get(name)), drop=drop)


_NEWEST: Final = (
    ListColumn("model", 64, lambda record: plain(record.get("model")), least=12),
    ListColumn("began (UTC)", 11, lambda record: seconds_of(record.get("timestamp"))[11:], drop=3),
    ListColumn("status", 6, lambda record: plain(record.get("status_code")), drop=4),
    ListColumn("end", 24, how_it_ended, least=8, drop=1),
    _record("time_to_first_token_ms", drop=5),
    _record("response_time_ms", drop=2),
    _record("completion_tokens", drop=6),
)


def _rule(width: int) -> Text:
    return Text("─" * width, "dim", no_wrap=True)


def _models(models: list[ModelLine], further: int, width: int, *, snug: bool) -> Table:
    columns = layout(widened(_MODELS, models, snug=snug), width)
    table = list_table(columns, models, lambda _: None)
    rest = [""] * (len(columns) - 1)
    if further:
        table.add_row(f"… {further:,} more", *rest, style="dim")
    if not models:
        table.add_row(Text("no request has ended", "dim"), *rest)
    return table


def _newest(records: list[dict[str, Any]], width: int, *, snug: bool) -> Table:
    columns = layout(widened(_NEWEST, records, snug=snug), width)
    return list_table(columns, records, lambda record: "red" if failed(record) else None)
