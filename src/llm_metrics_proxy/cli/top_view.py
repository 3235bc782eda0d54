"""The picture of ``top``: a line of figures, a table of models, and the newest requests in the room that is left."""

from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from llm_metrics_proxy.analytics.headings import short
from llm_metrics_proxy.cli.output import MISSING, plain, rounded, seconds_of
from llm_metrics_proxy.cli.requests import how_it_ended
from llm_metrics_proxy.cli.top_window import ModelLine, Snapshot, failed

_MODELS_SHARE: Final = 0.5  # of the height, at most
_AROUND: Final = 8  # lines that are neither a model nor a request
_LEAST_ROWS: Final = 3
_OF_MODELS: Final = (
    "requests_per_second", "requests", "time_to_first_token_ms.p50", "time_to_first_token_ms.p95",
    "output_tokens_per_second.p50", "cost_usd", "errors",
)  # fmt: skip
_OF_REQUESTS: Final = ("time_to_first_token_ms", "response_time_ms", "completion_tokens")


def picture(snapshot: Snapshot, height: int) -> RenderableType:
    """As many lines as ``height`` has room for."""
    room = max(2 * _LEAST_ROWS, height - _AROUND)
    models = snapshot.models[: max(_LEAST_ROWS, int(room * _MODELS_SHARE))]
    further = len(snapshot.models) - len(models)
    newest = snapshot.newest[: max(0, room - len(models) - bool(further))]
    return Group(
        _head(snapshot),
        _figures(snapshot),
        Rule(style="dim"),
        _models(models, further),
        Rule(style="dim"),
        _newest(newest),
    )


def _head(snapshot: Snapshot) -> Text:
    now = datetime.now(UTC).strftime("%H:%M:%S UTC")
    text = Text.assemble(("LLM Metrics Proxy", "bold"), f"  {snapshot.source}", no_wrap=True, overflow="ellipsis")
    text.append(f"  last {snapshot.window_s:.0f} s  {now}  q quits", "dim")
    if snapshot.problem:
        text.append(f"\n{_line(snapshot.problem)}", "yellow")
    return text


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


def _figures(snapshot: Snapshot) -> Text:
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


def _models(models: list[ModelLine], further: int) -> Table:
    titles = ("model", *map(short, _OF_MODELS))
    table = _table(titles)
    for one in models:
        ttft, speed = one.time_to_first_token_ms, one.output_tokens_per_second
        errors = Text(f"{one.errors:,}", "red" if one.errors else "")
        numbers = (
            f"{one.requests_per_second:,.1f}",
            f"{one.requests:,}",
            *map(rounded, (ttft.p50, ttft.p95, speed.p50)),
            MISSING if one.cost_usd.sum is None else f"{one.cost_usd.sum:,.4f}",
        )
        table.add_row(plain(one.model), *numbers, errors)
    if further:
        table.add_row(f"… {further:,} more", *[""] * (len(titles) - 1), style="dim")
    if not models:
        table.add_row(Text("no request has ended", "dim"), *[""] * (len(titles) - 1))
    return table


def _newest(records: list[dict[str, Any]]) -> Table:
    titles = ("model", "began (UTC)", "status", "end", *map(short, _OF_REQUESTS))
    table = _table(titles, texts=("model", "end"))
    for record in records:
        table.add_row(
            plain(record.get("model")),
            seconds_of(record.get("timestamp"))[11:],
            plain(record.get("status_code")),
            how_it_ended(record),
            *(rounded(record.get(name)) for name in _OF_REQUESTS),
            style="red" if failed(record) else None,
        )
    return table


def _table(titles: tuple[str, ...], texts: tuple[str, ...] = ("model",)) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0), expand=True)
    for title in titles:
        is_text = title in texts
        table.add_column(
            title,
            justify="left" if is_text else "right",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if is_text else None,
        )
    return table
