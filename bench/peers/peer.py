"""What a peer is, and starting it: pinned, and only once it answers the request of the benchmarks."""

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench import payload
from bench.figures import Unavailable, key_of
from bench.peers.sources import Source
from bench.processes import LOAD_CORE, TEST_CORE, family, free_port, move, running, wait_until


class Subject(NamedTuple):
    """A running server: where it listens, and the processes whose CPU time and memory count."""

    name: str
    port: int
    pids: tuple[int, ...] = ()
    is_slow: bool = False
    recorder_pids: tuple[int, ...] = ()  # ours only: the metrics process
    recorder_core: int = LOAD_CORE
    database: Path | None = None
    metrics_port: int | None = None

    def place(self) -> None:
        """Pin the metrics process where this subject wants it."""
        move(self.recorder_pids, self.recorder_core)


class Site(NamedTuple):
    """Where a peer is to run, and in front of what."""

    folder: Path  # its own, empty
    port: int  # of 127.0.0.1, to listen on
    upstream: int  # port of the LLM server
    streams: bool  # answers are streams: who would hold them back is told not to

    def write(self, name: str, text: str) -> str:
        """A file of configuration in the folder; its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)


class Launch(NamedTuple):
    """The arguments of a program, and what is added to its environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = {}


class Peer(NamedTuple):
    """One server to compare with."""

    name: str
    source: Source
    records: str  # the facts of each request that it keeps, as it is configured here
    launch: Callable[[Site], Launch]  # writes the configuration
    is_slow: bool = False  # so slow that it takes part in throughput alone, in a few turns

    @property
    def key(self) -> str:
        """How ``--peers`` names it."""
        return key_of(self.name)


@contextlib.contextmanager
def start(peer: Peer, folder: Path, upstream: int, *, streams: bool = False) -> Iterator[Subject]:
    """A peer on the test core. Raises ``Unavailable`` if it is not installed or does not answer."""
    program = peer.source.find()
    if program is None:
        raise Unavailable(f"{peer.name} is not installed ({peer.source.how})")
    site = Site(folder / peer.key, free_port(), upstream, streams)
    site.folder.mkdir()
    arguments, environment = peer.launch(site)
    log = site.folder / "log"
    with running([str(program), *arguments], TEST_CORE, port=site.port, log=log, environment=environment) as child:
        wait_until(lambda: _answers(site.port), child, log)
        yield Subject(peer.name, site.port, tuple(family(child.pid)), peer.is_slow)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", payload.PATH, payload.body(user="short"), payload.FIELDS)
        answer = connection.getresponse()
        return answer.status == 200 and bool(answer.read())
    finally:
        connection.close()
