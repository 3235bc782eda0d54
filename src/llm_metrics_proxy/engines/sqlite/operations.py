"""``engines.operations.Operations`` over a SQLite file."""

import threading
from contextlib import nullcontext
from pathlib import Path

from llm_metrics_proxy.engines.operations import Repricing
from llm_metrics_proxy.engines.sqlite.conditions import where
from llm_metrics_proxy.migration.lock import migration_lock
from llm_metrics_proxy.storage import repricing, repricing_undo
from llm_metrics_proxy.storage.repricing import Report, Repriced, Selection
from llm_metrics_proxy.storage.repricing_undo import TakenBack
from llm_metrics_proxy.storage.rollup_state import reset


class SqliteOperations:
    """Whatever changes records has its roll-ups made again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def reprice(self, what: Repricing, *, dry_run: bool, stop: threading.Event, report: Report) -> Repriced:
        """In batches of short transactions."""
        clause = where(what.selection)
        chosen = Selection(clause.sql, clause.parameters, what.words, what.only_unknown)
        with nullcontext() if dry_run else migration_lock(self._path):
            return repricing.reprice(
                self._path, what.price, chosen, price_lists=what.price_lists, dry_run=dry_run, stop=stop,
                report=report, on_change=reset,
            )  # fmt: skip

    def take_back(self, repricing_id: int, *, stop: threading.Event) -> TakenBack:
        """To the bit."""
        with migration_lock(self._path):
            return repricing_undo.take_back(self._path, repricing_id, stop=stop, on_change=reset)
