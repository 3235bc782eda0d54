"""``engines.operations.Operations`` over a SQLite file."""

import threading
from pathlib import Path

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.engines.sqlite.conditions import where
from llm_metrics_proxy.storage import repricing, repricing_undo
from llm_metrics_proxy.storage.repricing import Price, Report, Repriced, Selection
from llm_metrics_proxy.storage.repricing_undo import TakenBack
from llm_metrics_proxy.storage.rollup_state import reset


class SqliteOperations:
    """Whatever changes records has its roll-ups made again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reprice(
        self,
        price: Price,
        selection: RequestFilter,
        *,
        only_unknown: bool,
        price_lists: str,
        dry_run: bool,
        stop: threading.Event,
        report: Report,
    ) -> Repriced:
        """In batches of short transactions."""
        clause = where(selection)
        words = msgspec.json.encode({**msgspec.to_builtins(selection), "missing": only_unknown}).decode()
        chosen = Selection(clause.sql, clause.parameters, words, only_unknown)
        return repricing.reprice(
            self._path, price, chosen, price_lists=price_lists, dry_run=dry_run, stop=stop, report=report,
            on_change=reset,
        )  # fmt: skip

    def take_back(self, repricing_id: int, *, stop: threading.Event) -> TakenBack:
        """To the bit."""
        return repricing_undo.take_back(self._path, repricing_id, stop=stop, on_change=reset)
