"""``GET /v1/models`` with several backends: the proxy asks all of them, and merges their answers."""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic_ns

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.admission import own_answer_lines
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.exchange import CLOSED
from llm_metrics_proxy.proxy.fleet import Server
from llm_metrics_proxy.proxy.inbound import framing_lines, upstream_start
from llm_metrics_proxy.proxy.model_list import Listing, list_models
from llm_metrics_proxy.proxy.transaction import Transaction

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False, repr=False)
class ModelListing(Transaction):
    """A request that several servers answer together."""

    listing: asyncio.Task[Listing] | None = None

    def forward(self) -> None:
        fleet = self.ctx.fleet
        self.exchange.record.attempts = len(fleet.listing)
        if stations.on:
            stations.reached(self.exchange, monotonic_ns(), "all %d backends are asked", len(fleet.listing))
        self.listing = self.ctx.loop.create_task(
            list_models(fleet, self._request_to, self.ctx.options.models_timeout_s)
        )
        self.listing.add_done_callback(self._listed)

    def _request_to(self, server: Server) -> bytes:
        request = self.plan.request
        start = upstream_start(request, server.backend, trusted=self.client.trusted, plain_answer=True)
        return start + self.forwarding_lines() + framing_lines(request, 0)

    def _listed(self, task: asyncio.Task[Listing]) -> None:
        if self.exchange.state is CLOSED or task.cancelled():
            return
        if task.exception() is not None:
            log.error("the models could not be listed", exc_info=task.exception())
            self.end(Cause.INTERNAL)
            return
        listing = task.result()
        record, missing = self.exchange.record, listing.missing_words
        record.attempt_errors = missing or None
        if missing:
            log.warning("left out of the list of models: %s", " ".join((missing, *listing.reasons)))
        if listing.body is None:
            self.end(Cause.NO_MODELS, " ".join((f"No backend listed its models: {missing}.", *listing.reasons)))
            return
        self.let_go()  # of a body, for which nobody has asked
        now = monotonic_ns()
        self.exchange.answered_here(now, 200)
        record.response_bytes = len(listing.body)
        self.exchange.finish(now, now)
        record.upstream_status_code = None  # the answer is nobody's but ours
        self.keep_alive = self.keep_alive and self.body_complete and not self.client.is_last
        self.answer(200, listing.body, listing.missing_line + own_answer_lines(self.plan.cors))

    def let_go(self) -> None:
        Transaction.let_go(self)  # `super()` does not find its class, which slots re-created
        if self.listing is not None:
            self.listing.cancel()
