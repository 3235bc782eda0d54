"""From a head to a transaction: what follows from the head is planned once, and a record begins."""

from collections.abc import Callable
from typing import Final

import msgspec

from llm_metrics_proxy.proxy import stations
from llm_metrics_proxy.proxy.admission import AdmissionVerdict
from llm_metrics_proxy.proxy.asker import Caller
from llm_metrics_proxy.proxy.choice import split_prefix
from llm_metrics_proxy.proxy.context import Context
from llm_metrics_proxy.proxy.endings import Cause
from llm_metrics_proxy.proxy.exchange import Exchange
from llm_metrics_proxy.proxy.fleet import Server
from llm_metrics_proxy.proxy.identity import tags_of, trace_of
from llm_metrics_proxy.proxy.inbound import InboundRequest, RequestPlan, upstream_start
from llm_metrics_proxy.proxy.model_listing import ModelListing
from llm_metrics_proxy.proxy.parties import Client
from llm_metrics_proxy.proxy.policy import Route
from llm_metrics_proxy.proxy.transaction import Transaction
from llm_metrics_proxy.record import RequestRecord
from llm_metrics_proxy.wire.dialects import media_type
from llm_metrics_proxy.wire.endpoints import MODELS_PATH
from llm_metrics_proxy.wire.multipart import FormReader, boundary_of

_MODELS_PATH: Final = MODELS_PATH.encode()
# Made from all that is known it would take twice as long.
_copy: Final[Callable[[RequestRecord], RequestRecord]] = RequestRecord.__copy__  # type: ignore[attr-defined]
_NEVER_JSON: Final = (b"multipart/", b"audio/", b"video/", b"image/")  # any other type may be, see ``request_body``


def plan_for(ctx: Context, head: InboundRequest, verdict: AdmissionVerdict, *, trusted: bool) -> RequestPlan:
    """Everything that depends on the head alone; ``trusted``: the peer may say whom it forwards for."""
    options, fleet, server = ctx.options, ctx.fleet, ctx.fleet.only
    named = split_prefix(head.target, fleet.names) if fleet.names else None
    if named is not None:
        server = fleet.by_name[named[0]]
        head = msgspec.structs.replace(head, target=named[1], path=named[1].partition(b"?")[0])
    facts = head.facts
    asker = ctx.askers.of_head(facts, head.lines)
    route = ctx.policy.route(head.method, head.path)
    asks_for_models = (head.method, head.path) == (b"GET", _MODELS_PATH) and not head.websocket
    merges_models = asks_for_models and server is None and len(fleet.servers) > 1 and bool(fleet.listing)
    held_limit_bytes = min(options.max_body_bytes, options.max_buffered_bytes)
    boundary = None if head.is_json or "content_encoding" in facts else boundary_of(facts.get("content_type"))
    has_say = boundary is not None and server is None  # the form's model chooses the server
    may_be_json = not head.is_json and not media_type(facts.get("content_type")).startswith(_NEVER_JSON)
    return RequestPlan(
        request=head,
        route=route,
        record=_record_of(ctx, head, route, asker, server),
        asker=asker,
        start=b"" if server is None else upstream_start(head, server.backend, trusted=trusted, plain_answer=False),
        refused=verdict.refused or (None if route.allowed else Cause.FORBIDDEN),
        cors=verdict.cors,
        fast=verdict.refused is None
        and route.allowed
        and head.is_json
        and "content_encoding" not in facts
        and not merges_models
        and not options.inject_usage
        and options.journal_when_full == "drop_records"
        and not stations.on,
        held=(head.is_json or may_be_json or has_say) and not head.websocket,
        held_limit_bytes=held_limit_bytes if may_be_json or has_say else None,
        boundary=boundary,
        limit_bytes=held_limit_bytes if head.is_json and not head.websocket else options.max_upload_bytes,
        keep_alive=head.keep_alive and not head.websocket,  # a refused upgrade may be followed by the other protocol
        server=server,
        merges_models=merges_models,
    )


def _record_of(ctx: Context, head: InboundRequest, route: Route, asker: Caller, server: Server | None) -> RequestRecord:
    facts = head.facts
    record = RequestRecord(
        request_id="",
        timestamp="",
        method=head.method.decode("latin-1"),
        endpoint=route.endpoint,
        dialect=None if route.dialect is None else route.dialect.name,
        backend=None if server is None else server.backend.address.label,
        backend_name=None if server is None else server.backend.rule.name,
        model=route.model,
        response_id=route.response_id,
        origin=asker.origin,
        user_agent=asker.user_agent,
        app=asker.app,
        api_key_id=ctx.key_ids.of(facts, head.target),
        is_streaming=head.method == b"GET" and b"stream=true" in head.target.partition(b"?")[2].split(b"&"),
        tags=tags_of(facts),
    )
    for column, value in asker.columns:
        setattr(record, column, value)
    trace = trace_of(facts)
    if trace is not None:
        record.trace_id, record.parent_span_id, record.trace_sampled = trace
    return record


def begin_record(ctx: Context, client: Client, plan: RequestPlan) -> RequestRecord:
    """The record of a request that comes now, with what its head says."""
    record = _copy(plan.record)
    record.request_id, record.timestamp = ctx.request_ids.next(), ctx.wall_clock.now()
    if ctx.options.record_client_address:
        record.client_address = client.address.decode()
    return record


def accept(ctx: Context, client: Client, plan: RequestPlan, length: int | None, now: int) -> Transaction:
    """From here on the request leaves exactly one record. ``length``: of its body in bytes; None: chunked."""
    record = begin_record(ctx, client, plan)
    if stations.on:
        stations.accepted(record)
    refused = plan.refused
    if refused is None:
        if length is not None and length > plan.limit_bytes:
            refused = Cause.TOO_LARGE
        elif ctx.options.journal_when_full == "refuse_requests" and ctx.recorder.is_full:
            refused = Cause.SATURATED
    kind = ModelListing if plan.merges_models else Transaction
    work = kind(ctx, client, plan, Exchange(record, now), length, plan.keep_alive, refused, now, now, plan.held)
    if plan.boundary is not None:
        work.form = FormReader(plan.boundary)
    return work
