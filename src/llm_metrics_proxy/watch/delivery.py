"""What alerts send to webhooks, and the sending: each message until its receiver takes it, or for a day."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.metrics_service import APP_VERSION
from llm_metrics_proxy.storage.base import AlertDelivery, AlertMemory
from llm_metrics_proxy.watch import webhook
from llm_metrics_proxy.watch.rules import About, AlertRule
from llm_metrics_proxy.watch.states import AlertChange

log = logging.getLogger(__name__)


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook gets, as JSON. ``id`` is the same in every attempt to send it."""

    id: str
    alert: str
    state: str  # firing or resolved
    incident: str  # when it began to fire: both messages of an incident have it
    at: str
    metric: str
    op: str
    threshold: float
    value: float | None
    n: int
    window_s: int
    filter: About
    against: str | None = None  # previous: threshold and value are changes since the window before
    app_version: str = APP_VERSION


def events_of(
    rule: AlertRule, change: AlertChange, value: float | None, n: int, moment: datetime
) -> dict[str, tuple[str, str]]:
    """The message about a change of an alert's state, by id; none where the alert has no webhook."""
    if rule.webhook is None:
        return {}
    incident = shown_time(change.incident)
    message = AlertMessage(
        id=f"{rule.name}/{incident}/{change.phase}",
        alert=rule.name,
        state=change.phase,
        incident=incident,
        at=shown_time(moment.timestamp()),
        metric=rule.metric,
        op=rule.op,
        threshold=rule.threshold,
        value=value,
        n=n,
        window_s=rule.window_s,
        filter=rule.about,
        against=rule.against,
    )
    return {message.id: (rule.name, msgspec.json.encode(message).decode())}


def shown_time(unix_s: float) -> str:
    """In UTC, with milliseconds."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Post(Protocol):
    """``webhook.post``."""

    def __call__(self, url: str, body: str, event_id: str) -> str | None:
        """Why it was not taken, or ``None``."""


class Deliveries:
    """The messages that wait; used by one thread, except ``waiting``."""

    def __init__(self, post: Post, clock: Callable[[], float], stopped: Callable[[], bool]) -> None:
        self._post, self._clock, self._stopped = post, clock, stopped
        self._waiting: dict[str, tuple[int, str | None]] = {}
        self._failures: dict[str, tuple[int, float]] = {}  # by address: in a row, and when to try again

    def waiting(self, name: str) -> tuple[int, str | None]:
        """How many messages of an alert wait, and why the last one was not taken."""
        return self._waiting.get(name, (0, None))

    def send(self, memory: AlertMemory, urls: Mapping[str, str | None]) -> None:
        """Try each message once; ``urls`` are by alert. A receiver that does not take one has its next turn later and
        later, so that nobody else's messages wait for it."""
        try:
            for delivery in memory.deliveries():
                if self._stopped():
                    break
                self._send(memory, delivery, urls.get(delivery.name))
            waiting = memory.deliveries()
        except (LlmMetricsProxyError, OSError) as error:
            log.debug("alerts cannot be sent at the moment: %s", error)
            return
        self._waiting = {
            name: (sum(one.name == name for one in waiting), _last_error(waiting, name))
            for name in {delivery.name for delivery in waiting}
        }

    def _send(self, memory: AlertMemory, delivery: AlertDelivery, url: str | None) -> None:
        if url is None:  # its rule, or the rule's webhook, is gone
            memory.done(delivery)
            return
        failures, not_before = self._failures.get(url, (0, 0.0))
        if time.monotonic() < not_before:
            return
        error = self._post(url, delivery.body, delivery.event_id)
        if error is None:
            self._failures.pop(url, None)
            memory.done(delivery)
            return
        self._failures[url] = (failures + 1, time.monotonic() + webhook.retry_after_s(failures + 1))
        if self._clock() - delivery.created_at > webhook.GIVE_UP_S:
            log.error("alert %s: its receiver did not take %s for a day: %s", delivery.name, delivery.event_id, error)
            memory.done(delivery)
            return
        if failures == 0:
            log.warning("alert %s: its receiver did not take it, and is asked again: %s", delivery.name, error)
        memory.failed(delivery, error)


def _last_error(waiting: Sequence[AlertDelivery], name: str) -> str | None:
    return next((one.last_error for one in reversed(waiting) if one.name == name and one.last_error), None)
