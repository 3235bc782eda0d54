"""What all connections of one worker share. Made once by ``worker``; connections only read it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from llm_metrics_proxy.forwarded import is_within
from llm_metrics_proxy.proxy.admission import Admission
from llm_metrics_proxy.proxy.asker import Askers
from llm_metrics_proxy.proxy.body_memory import BodyMemory
from llm_metrics_proxy.proxy.capacity import ClientCapacity, ListeningSockets
from llm_metrics_proxy.proxy.fleet import Fleet
from llm_metrics_proxy.proxy.identity import KeyIds, RequestIds, WallClock
from llm_metrics_proxy.proxy.inbound import RequestPlan
from llm_metrics_proxy.proxy.options import ProxyOptions
from llm_metrics_proxy.proxy.parties import Client
from llm_metrics_proxy.proxy.plans import Plans
from llm_metrics_proxy.proxy.policy import PathPolicy
from llm_metrics_proxy.proxy.recorder import Recorder
from llm_metrics_proxy.scoreboard import Slot

HealthReport = Callable[[], dict[str, Any]]


@dataclass(slots=True)
class Context:
    """The worker's shared parts. Only ``worker`` changes any of them: ``draining``, and what a reload brings."""

    loop: asyncio.AbstractEventLoop
    options: ProxyOptions
    fleet: Fleet
    recorder: Recorder
    slot: Slot
    policy: PathPolicy
    admission: Admission
    key_ids: KeyIds
    askers: Askers
    health: HealthReport
    bodies: BodyMemory
    capacity: ClientCapacity
    plans: Plans[RequestPlan] = field(default_factory=Plans)
    request_ids: RequestIds = field(default_factory=RequestIds)
    wall_clock: WallClock = field(default_factory=WallClock)
    connections: set[Client] = field(default_factory=set)
    listeners: ListeningSockets | None = None
    draining: bool = False

    def is_trusted(self, address: str) -> bool:
        """May this peer say whom it forwards for?"""
        trusted = self.options.trusted_proxies
        return bool(trusted) and is_within(address, tuple(trusted))
