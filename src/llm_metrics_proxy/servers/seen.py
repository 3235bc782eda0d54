"""What is known of servers and GPUs now: values that the poller replaces, and others read. Pure."""

from enum import StrEnum
from typing import NamedTuple

from llm_metrics_proxy.servers.gpus import GpuReading
from llm_metrics_proxy.servers.readings import ServerReading


class AskingState(StrEnum):
    """How asking a server fares."""

    TELLS = "tells"  # numbers of its own
    TELLS_NOTHING = "tells_nothing"  # it answers, but has no page that says anything
    WANTS_KEY = "wants_key"
    SILENT = "silent"  # it does not answer
    NOT_ASKED = "not_asked"  # not yet
    OFF = "off"  # the settings say so
    REMOTE = "remote"  # off by default for remote addresses
    GONE = "gone"  # it is in no setting any more, but has told something in the range


class ServerSeen(NamedTuple):
    """``asked_at``, ``told_at``: Unix seconds of the last question, and of the last one that was answered by numbers.
    ``advice``: what would make it tell more (``verdict.ADVICE``)."""

    name: str
    state: AskingState
    program: str = ""
    asked_at: float | None = None
    told_at: float | None = None
    reading: ServerReading | None = None
    open_requests: int | None = None
    advice: str | None = None


class GpuSeen(NamedTuple):
    """One GPU as last read."""

    name: str  # as its samples have it
    reading: GpuReading
    read_at: float


class Seen(NamedTuple):
    """All of them, in the order of the settings."""

    servers: tuple[ServerSeen, ...] = ()
    gpus: tuple[GpuSeen, ...] = ()
