"""From a head to a transaction: what follows from the head is planned once, and a record begins."""

from typing import TYPE_CHECKING

from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.proxy.identity import agent_of, origin_of
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan, upstream_start
from llm_metrics_proxy.proxy.transaction import Transaction
from llm_metrics_proxy.record import RequestRecord

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.context import Context
    from llm_metrics_proxy.proxy.downstream import Downstream


def plan_for(ctx: "Context", head: InboundRequest, *, trusted: bool) -> RequestPlan:
    """Everything that depends on the head alone; ``trusted``: the peer may say whom it forwards for."""
    facts = head.facts
    route = ctx.policy.route(head.method, head.path)
    backend = ctx.backend
    return RequestPlan(
        request=head,
        route=route,
        method=head.method.decode("latin-1"),
        dialect=None if route.dialect is None else route.dialect.name,
        origin=origin_of(facts),
        user_agent=agent_of(facts),
        api_key_id=ctx.key_ids.of(facts),
        start=upstream_start(
            head,
            host_line=backend.host_line,
            path_prefix=backend.path_prefix,
            trusted=trusted,
            plain_answer=False,
        ),
        fast=route.allowed and head.is_json and "content_encoding" not in facts,
    )


def begin_record(ctx: "Context", client: "Downstream", plan: RequestPlan) -> RequestRecord:
    """A record with what is known once the head is in."""
    return RequestRecord(
        request_id=ctx.request_ids.next(),
        timestamp=ctx.wall_clock.now(),
        method=plan.method,
        endpoint=plan.route.endpoint,
        dialect=plan.dialect,
        backend=ctx.backend.label,
        model=plan.route.model,
        origin=plan.origin,
        user_agent=plan.user_agent,
        api_key_id=plan.api_key_id,
        client_address=client.address.decode() if ctx.options.record_client_address else None,
    )


def accept(ctx: "Context", client: "Downstream", plan: RequestPlan, length: int | None, now: int) -> Transaction:
    """From here on the request leaves exactly one record. ``length``: of its body in bytes; None: chunked."""
    return Transaction.accept(ctx, client, plan, Exchange(begin_record(ctx, client, plan), now), length)
