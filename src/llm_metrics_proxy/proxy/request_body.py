"""A request's JSON body, complete: the facts it holds, and the opt-in edit of it. Pure."""

from typing import NamedTuple

from llm_metrics_proxy.proxy.inbound import RequestPlan
from llm_metrics_proxy.wire.base import RequestFacts
from llm_metrics_proxy.wire.content_coding import decoder_for
from llm_metrics_proxy.wire.usage_injection import UsageFilter, inject_include_usage


class RequestBody(NamedTuple):
    """``sent`` is what goes to the server; ``edits`` takes back out of the answer what an edit made the server add."""

    facts: RequestFacts
    sent: bytes
    edits: UsageFilter | None = None


def read_body(plan: RequestPlan, body: bytes, *, inject_usage: bool) -> RequestBody:
    """Read a body that is not empty; an encoding that is not known leaves it unread."""
    route, coding = plan.route, plan.request.facts.get("content_encoding")
    if coding is not None:
        decoder = decoder_for(coding)
        return RequestBody(route.read_request(body if decoder is None else decoder.feed(body)), body)
    facts = route.read_request(body)
    if inject_usage and route.dialect is not None and route.dialect.can_inject_usage:
        edited = inject_include_usage(body)
        if edited is not None:
            return RequestBody(facts, edited, UsageFilter())
    return RequestBody(facts, body)
