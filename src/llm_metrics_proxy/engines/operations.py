"""What changes stored records after they came, where the engine decides how."""

import threading
from typing import Protocol

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.storage.repricing import Price, Report, Repriced
from llm_metrics_proxy.storage.repricing_undo import TakenBack


class Operations(Protocol):
    """The caller holds the lock of migrations, unless it is a ``dry_run``. Every method raises ``StoreError``."""

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
        """Price the selected records again; ``only_unknown``: those without a cost. What it does, as it goes on, is
        handed to ``report``."""

    def take_back(self, repricing_id: int, *, stop: threading.Event) -> TakenBack:
        """Give every record that a repricing changed its cost from before."""
