"""Which limit of time a request has passed, if any. Looked at a few times a second: a timer each would cost more."""

from typing import TYPE_CHECKING

from llm_metrics_proxy.proxy.exchange import Cause, ExchangeState

if TYPE_CHECKING:
    from llm_metrics_proxy.proxy.transaction import Transaction


def overdue(transaction: "Transaction", now: int) -> Cause | None:
    """The cause to end it for; ``None``: it may go on. ``now`` is monotonic, in nanoseconds."""
    options, exchange, server = transaction.ctx.options, transaction.exchange, transaction.server
    if transaction.tunnel is not None or exchange.state is ExchangeState.CLOSED:
        return None
    since, limit_s, cause = exchange.received, 0.0, Cause.INTERNAL
    if transaction.paused_since:
        since, limit_s, cause = transaction.paused_since, options.send_timeout_s, Cause.CLIENT_STALLED
    elif exchange.state is ExchangeState.RESPONDING and server is not None:
        since, limit_s, cause = exchange.last_read, server.backend.limits.idle_timeout_s, Cause.IDLE_TIMEOUT
    elif transaction.blocked_since and server is not None:
        since, limit_s = transaction.blocked_since, server.backend.limits.first_byte_timeout_s
        cause = Cause.FIRST_BYTE_TIMEOUT
    elif not transaction.body_complete:
        since, limit_s, cause = transaction.upload_activity, options.body_timeout_s, Cause.SLOW_BODY
        least = options.body_min_bytes_per_s
        if least and now - transaction.upload_since > (limit_s + transaction.received_bytes / least) * 1e9:
            return cause  # a byte now and then is no body
    elif exchange.state is ExchangeState.AWAITING and server is not None:
        since, limit_s = max(exchange.sent, transaction.upload_activity), server.backend.limits.first_byte_timeout_s
        cause = Cause.FIRST_BYTE_TIMEOUT
    else:
        return None  # waiting for a connection: the pool has its own limits
    return cause if now - since > limit_s * 1e9 else None
