"""What changes stored records after they came, where the engine decides how."""

import threading
from typing import NamedTuple, Protocol

import msgspec

from llm_metrics_proxy.analytics.filters import RequestFilter
from llm_metrics_proxy.storage.repricing import Price, Report, Repriced
from llm_metrics_proxy.storage.repricing_undo import TakenBack


class Repricing(NamedTuple):
    """Which records are priced again, and how. ``only_unknown``: those without a cost; ``price_lists``: their names."""

    price: Price
    selection: RequestFilter
    price_lists: str
    only_unknown: bool = False

    @property
    def words(self) -> str:
        """The selection, to be kept with the run."""
        return msgspec.json.encode({**msgspec.to_builtins(self.selection), "missing": self.only_unknown}).decode()


class Operations(Protocol):
    """Both raise ``MigrationRefusedError`` while another process changes stored records, else ``StoreError``."""

    def reprice(self, what: Repricing, *, dry_run: bool, stop: threading.Event, report: Report) -> Repriced:
        """Price the selected records again; ``report`` gets what it has done, as it goes on."""

    def take_back(self, repricing_id: int, *, stop: threading.Event) -> TakenBack:
        """Give every record that a repricing changed its values from before."""
