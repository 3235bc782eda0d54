"""The state machine of one alert. Pure: times are Unix seconds that are passed in.

    ok ──holds──▶ pending ──for_s──▶ firing ──well again for resolve_s──▶ ok
     ▲               │
     └──holds not────┘

Each incident gives exactly two messages: when the alert begins to fire, and when it is resolved. What comes and goes
within ``for_s`` gives none, and what goes and comes within ``resolve_s`` stays one incident.
"""

from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from llm_metrics_proxy.watch.rules import AlertRule


class AlertPhase(StrEnum):
    """Where an alert is."""

    OK = "ok"
    PENDING = "pending"  # something is wrong, and not yet for long enough
    FIRING = "firing"


class AlertState(msgspec.Struct, frozen=True, kw_only=True):
    """``since``: when the phase began. ``well_since``: while firing, since when nothing is wrong any more."""

    phase: AlertPhase = AlertPhase.OK
    since: float | None = None
    well_since: float | None = None


class AlertChange(NamedTuple):
    """What a message is about. ``incident``: when it began to fire, which both changes of an incident share."""

    phase: str  # firing or resolved
    incident: float


FIRED: Final = "firing"
RESOLVED: Final = "resolved"


def step(rule: AlertRule, state: AlertState, holds: bool, now: float) -> tuple[AlertState, AlertChange | None]:
    """The next state, and what to send. A clock that went back makes nothing happen sooner."""
    if state.phase is AlertPhase.FIRING:
        return _firing(rule, state, holds, now)
    if not holds:
        return (state if state.phase is AlertPhase.OK else AlertState(since=now)), None
    began = state.since if state.phase is AlertPhase.PENDING and state.since is not None else now
    if now - began >= rule.for_s:
        return AlertState(phase=AlertPhase.FIRING, since=now), AlertChange(FIRED, now)
    return AlertState(phase=AlertPhase.PENDING, since=min(began, now)), None


def _firing(rule: AlertRule, state: AlertState, holds: bool, now: float) -> tuple[AlertState, AlertChange | None]:
    if holds:
        return msgspec.structs.replace(state, well_since=None), None
    well_since = now if state.well_since is None else min(state.well_since, now)
    if now - well_since >= rule.resolve_s:
        return AlertState(since=now), AlertChange(RESOLVED, state.since if state.since is not None else now)
    return msgspec.structs.replace(state, well_since=well_since), None
